import { type Finding, fail, ok, warn } from '../finding.ts';

interface Driver {
  module: string;
  option: string;
  /** Words that a kernel has in it only with the driver. */
  mark: string;
}

/** What a guest must have before it can read its disk: from there, nothing can be loaded. Any one of a group will do. */
const NEEDED: readonly (readonly Driver[])[] = [
  [{ module: 'virtio_blk', option: 'CONFIG_VIRTIO_BLK', mark: 'virtio_blk\0' }],
  [
    { module: 'virtio_mmio', option: 'CONFIG_VIRTIO_MMIO', mark: 'virtio-mmio\0' },
    { module: 'virtio_pci', option: 'CONFIG_VIRTIO_PCI', mark: 'virtio-pci\0' },
  ],
  [{ module: 'ext4', option: 'CONFIG_EXT4_FS', mark: 'EXT4-fs (%s): ' }],
];

/** Names of the modules that are looked for. */
export const BOOT_MODULES: readonly string[] = NEEDED.flat().map(({ module }) => module);

/** What to look for in a kernel of which nothing else tells what it has built in. */
export const BUILTIN_MARKS: readonly string[] = NEEDED.flat().map(({ mark }) => mark);

/** All that is known of where a kernel's drivers are. */
export interface DriverSources {
  /** What the kernel has built in; null where nothing tells. */
  builtin: ReadonlySet<string> | null;
  /** The kernel's configuration, which tells as well; null without one. */
  config: string | null;
  /** Which of `BUILTIN_MARKS` are in the kernel. That one is not says little. */
  marks: ReadonlySet<string>;
  /** Those that were seen in the initrd; without one, none. */
  initrd: ReadonlySet<string>;
  /** Whether all that is in the initrd was seen. */
  isInitrdKnown: boolean;
}

export interface Drivers {
  /** A phrase a group: `virtio_blk in the initrd`. */
  present: readonly string[];
  /** What the guest does without: `virtio_mmio or virtio_pci`. */
  missing: readonly string[];
  /** What cannot be told of. */
  unknown: readonly string[];
}

/** Finds each driver that a boot needs. */
export function findDrivers(sources: DriverSources): Drivers {
  const drivers = { present: [] as string[], missing: [] as string[], unknown: [] as string[] };
  for (const group of NEEDED) {
    const places = group.map((driver) => ({ ...driver, place: placeOf(driver, sources) }));
    const found = places.filter(({ place }) => place === 'built in' || place === 'in the initrd');
    const named = group.map(({ module }) => module).join(' or ');
    if (found.length > 0) drivers.present.push(phrase(found));
    else if (places.some(({ place }) => place === 'unknown')) drivers.unknown.push(named);
    else drivers.missing.push(named);
  }
  return drivers;
}

function phrase(found: readonly { module: string; place: string }[]): string {
  const [first] = found;
  const isOnePlace = found.every(({ place }) => place === first?.place);
  if (isOnePlace) return `${found.map(({ module }) => module).join(' and ')} ${first?.place}`;
  return found.map(({ module, place }) => `${module} ${place}`).join(' and ');
}

function placeOf(
  driver: Driver,
  sources: DriverSources,
): 'built in' | 'in the initrd' | 'missing' | 'unknown' {
  const isBuiltIn = builtInOf(driver, sources);
  if (isBuiltIn === true) return 'built in';
  if (sources.initrd.has(driver.module)) return 'in the initrd';
  return isBuiltIn === null || !sources.isInitrdKnown ? 'unknown' : 'missing';
}

/** Null where nobody knows. */
function builtInOf(
  { module, option, mark }: Driver,
  { builtin, config, marks }: DriverSources,
): boolean | null {
  if (builtin !== null) return builtin.has(module);
  if (config !== null) return config.split('\n').includes(`${option}=y`);
  return marks.has(mark) ? true : null;
}

/**
 * @param hasInitrd whether a boot has one that it makes use of
 * @param mend gets the drivers that are missing into the boot
 */
export function driversFinding(
  { present, missing, unknown }: Drivers,
  hasInitrd: boolean,
  mend: string,
): Finding {
  const told = present.length === 0 ? '' : ` (${present.join(', ')})`;
  if (missing.length > 0) {
    const where = hasInitrd
      ? 'neither built into the kernel nor in the initrd'
      : 'not built into the kernel, and no initrd brings it';
    return fail('drivers', `${missing.join(', ')}: ${where}${told}`, mend);
  }
  if (unknown.length > 0) {
    const detail = `whether there is ${unknown.join(', ')} cannot be told without booting${told}`;
    return warn('drivers', detail);
  }
  return ok('drivers', present.join(', '));
}
