import { lookup, readFile } from '../ext4/lookup.ts';
import type { Volume } from '../ext4/volume.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import { formatBytes } from '../text.ts';
import { parseFstab } from './fstab.ts';
import { type DiskName, fstabFaults } from './fstab-faults.ts';

const FSTAB = '/etc/fstab';
/** Thousands of entries, in bytes. */
const MAX_BYTES = 1024 * 1024;
/** How many entries are looked at: each may take a moment, and a guest of so many disks is none of ours. */
const MAX_ENTRIES = 100;
/** How many faults are told. */
const MAX_TOLD = 5;

export interface Disks {
  rootfs: DiskName;
  workSeed: DiskName | null;
}

/**
 * What the guest's fstab would do to a boot.
 * @param isStrict whether its init waits for what is listed, and ends the boot where that does not come
 */
export function fstabFinding(volume: Volume, disks: Disks, isStrict: boolean, mend: string): Finding {
  const inode = lookup(volume, FSTAB, { follow: true });
  if (inode === null) return ok('fstab', 'none');
  if (inode.type !== 'file') return fail('fstab', `${FSTAB} is no regular file, but a ${inode.type}`, mend);
  if (inode.size > MAX_BYTES) {
    return fail('fstab', `${FSTAB} has ${formatBytes(inode.size)}, which is no list of disks`, mend);
  }
  const fstab = parseFstab((readFile(volume, FSTAB, { limit: MAX_BYTES }) ?? '').toString());
  const isThere = (path: string): boolean => lookup(volume, path, { follow: true }) !== null;
  const { entries, malformed } = fstab;
  if (entries.length + malformed.length > MAX_ENTRIES) {
    return warn('fstab', `it has ${entries.length + malformed.length} entries: they are not looked at`, mend);
  }
  const faults = fstabFaults(fstab, { ...disks, isThere });
  if (faults.length === 0) {
    const count = entries.length;
    return ok('fstab', count === 0 ? 'nothing in it' : `${count} ${count === 1 ? 'entry' : 'entries'}`);
  }
  const told = faults.slice(0, MAX_TOLD).map(({ line, detail }) => `line ${line} ${detail}`);
  const more = faults.length > MAX_TOLD ? [`and ${faults.length - MAX_TOLD} more`] : [];
  const stopsBoot = isStrict && faults.some((fault) => fault.stopsBoot);
  return (stopsBoot ? fail : warn)('fstab', [...told, ...more].join('; '), mend);
}
