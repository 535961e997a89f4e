import { BangerError, messageOf } from '../errors.ts';
import { type Volume, withVolume } from '../ext4/volume.ts';
import { type Finding, fail } from '../finding.ts';
import type { ImageRow } from '../store/schema.ts';
import { readKernelContent } from '../system/kernel-content.ts';
import type { Superblock } from '../system/superblock.ts';
import { oneLine } from '../text.ts';
import { bootSetOf } from './artifacts.ts';
import { BUILTIN_MARKS, type Drivers, driversFinding, findDrivers } from './boot-drivers.ts';
import { fstabFinding } from './guest-fstab.ts';
import { initFinding, runsBusybox } from './guest-init.ts';
import { machineIdFinding } from './guest-machine-id.ts';
import { type GuestModules, type OwnModules, readGuestModules, readOwnModules } from './guest-modules.ts';
import { examineDisk } from './verify-filesystem.ts';
import { type ExaminedInitrd, examineInitrd } from './verify-initrd.ts';
import { type ExaminedKernel, examineKernel } from './verify-kernel.ts';
import { type Mends, mendsOf } from './verify-mends.ts';
import { modulesFinding } from './verify-modules.ts';

/** What is known of an image before its root filesystem is looked into. */
interface Outside {
  row: ImageRow;
  mends: Mends;
  disks: { rootfs: Superblock | null; workSeed: Superblock | null };
  kernel: ExaminedKernel;
  initrd: ExaminedInitrd | null;
  own: OwnModules | null;
  signal: AbortSignal | undefined;
}

/** Looks at every file of an image, whatever is wrong with the others. */
export async function examineImage(row: ImageRow, signal?: AbortSignal): Promise<Finding[]> {
  const mends = mendsOf(row);
  const { rootfs, kernel, initrd, modules, workSeed } = bootSetOf(row);
  const options = (mend: string) => ({ mend, signal });
  const disk = await examineDisk('rootfs', rootfs, options(mends.files.rootfs));
  const seed =
    workSeed === null ? null : await examineDisk('workSeed', workSeed, options(mends.files.workSeed));
  const examined = await examineKernel(kernel, options(mends.files.kernel));
  const { version } = examined;
  const ramdisk = initrd === null ? null : await examineInitrd(initrd, version, options(mends.files.initrd));
  const own = modules === null ? null : await examineOwnModules(modules, version, mends.files.modules);
  const disks = { rootfs: disk.superblock, workSeed: seed?.superblock ?? null };
  return [
    ...[disk, seed, examined, ramdisk, own].flatMap((one) => one?.finding ?? []),
    ...(await examineInside({
      ...{ row, mends, disks, signal, kernel: examined, initrd: ramdisk },
      own: own?.content ?? null,
    })),
  ];
}

/** Of a root filesystem that is not sound nothing is believed. */
async function examineInside(outside: Outside): Promise<Finding[]> {
  const { rootfs, workSeed } = outside.disks;
  if (rootfs === null) return [(await examineDrivers(outside, null)).finding];
  const { mends, kernel, row } = outside;
  return withVolume(row.rootfs_path, async (volume) => [
    ...(await examineModules(outside, volume)),
    attempt('init', () => initFinding(volume, kernel.arch, mends.init)),
    attempt('fstab', () => fstabFinding(volume, { rootfs, workSeed }, !runsBusybox(volume), mends.fstab)),
    attempt('machine_id', () => machineIdFinding(volume, mends.machineId)),
  ]).catch((error: unknown) => [failureOf('contents', error)]);
}

async function examineModules(outside: Outside, volume: Volume): Promise<Finding[]> {
  const { kernel, own, mends } = outside;
  let guest: GuestModules;
  try {
    guest = readGuestModules(volume, kernel.version);
  } catch (error) {
    return [failureOf('modules', error), (await examineDrivers(outside, null)).finding];
  }
  const { finding, drivers, config } = await examineDrivers(outside, guest);
  const ground = { version: kernel.version, guest, own, config, drivers };
  return [modulesFinding(ground, mends.files.modules), finding];
}

/** @param guest null where the root filesystem says nothing */
async function examineDrivers(
  { row, mends, kernel, initrd, own, signal }: Outside,
  guest: GuestModules | null,
): Promise<{ finding: Finding; drivers: Drivers; config: string | null }> {
  const content = initrd?.content ?? null;
  const builtin = guest?.builtin ?? own?.builtin ?? content?.builtin ?? null;
  // A kernel is looked through, which takes a moment, only where nothing else tells.
  const isTold = builtin !== null || (guest?.config ?? null) !== null || kernel.arch === null;
  const told = isTold ? null : await readKernelContent(row.kernel_path, BUILTIN_MARKS, signal);
  const config = guest?.config ?? told?.config ?? null;
  // One without an init is passed over, and with it the drivers that it has.
  const hasInitrd = initrd !== null && content?.hasInit !== false;
  const drivers = findDrivers({
    builtin,
    config,
    marks: told?.marks ?? new Set(),
    initrd: (hasInitrd ? content?.found : null) ?? new Set<string>(),
    isInitrdKnown: !hasInitrd || content?.isOpaque === false,
  });
  return { finding: driversFinding(drivers, hasInitrd, mends.files.initrd), drivers, config };
}

async function examineOwnModules(
  directory: string,
  version: string | null,
  mend: string,
): Promise<{ finding: Finding | null; content: OwnModules | null }> {
  try {
    return { finding: null, content: await readOwnModules(directory, version) };
  } catch (error) {
    return { finding: { ...failureOf('modules_dir', error), mend }, content: null };
  }
}

function attempt(name: string, look: () => Finding): Finding {
  try {
    return look();
  } catch (error) {
    return failureOf(name, error);
  }
}

/** What cannot be read of an image is a finding like any other. */
function failureOf(name: string, error: unknown): Finding {
  if (!(error instanceof BangerError)) throw error;
  return fail(name, oneLine(messageOf(error)), error.hints[0] ?? null);
}
