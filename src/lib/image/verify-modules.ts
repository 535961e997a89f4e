import { type Finding, fail, ok, warn } from '../finding.ts';
import { oneLine } from '../text.ts';
import type { Drivers } from './boot-drivers.ts';
import type { GuestModules, OwnModules } from './guest-modules.ts';

export interface ModulesGround {
  version: string | null;
  guest: GuestModules;
  /** What the image's own directory of modules has; null where it has none. */
  own: OwnModules | null;
  /** The kernel's configuration; null where nobody knows it. */
  config: string | null;
  drivers: Drivers;
}

const MAX_VERSIONS = 5;

/**
 * Whether the guest has its kernel's modules.
 * @param mend installs them
 */
export function modulesFinding(ground: ModulesGround, mend: string): Finding {
  const { version, guest, own, config, drivers } = ground;
  if (version === null) return warn('modules', 'the kernel does not tell which it is: nothing to compare');
  const shown = oneLine(version);
  const directory = `/lib/modules/${shown}`;
  if (guest.versions.includes(version)) {
    if (guest.isListed) return ok('modules', `${directory} in the root filesystem`);
    return warn('modules', `${directory} has no modules.dep: modprobe finds nothing in it`, mend);
  }
  if (config !== null && !config.split('\n').includes('CONFIG_MODULES=y')) {
    return ok('modules', 'the kernel takes none');
  }
  const others = guest.versions.slice(0, MAX_VERSIONS).map(oneLine).join(', ');
  const detail = [
    `the root filesystem has no ${directory}${others === '' ? '' : `, but that of ${others}`}`,
    ...(own?.hasVersion ? ["the image's own modules are not installed in it"] : []),
    ...(own?.hasVersion === false ? ["the image's own modules are of another kernel"] : []),
  ].join('; ');
  // A guest whose disk is reached all the same boots, but may lack its network.
  return (drivers.missing.length === 0 ? warn : fail)('modules', detail, mend);
}
