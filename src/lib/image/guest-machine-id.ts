import { readContent } from '../ext4/content.ts';
import { lookup } from '../ext4/lookup.ts';
import type { Volume } from '../ext4/volume.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';

/** The second is D-Bus's own, which systemd takes up where the first says nothing (machine-id(5)). */
const FILES = ['/etc/machine-id', '/var/lib/dbus/machine-id'];
/** What goes by it, and makes one where there is none. */
const READERS = [
  '/usr/lib/systemd/systemd',
  '/lib/systemd/systemd',
  '/usr/bin/dbus-daemon',
  '/usr/bin/dbus-broker',
];
const ID = /^[0-9a-f]{32}$/iu;
/** More than an identifier and its newline, in bytes. */
const READ_BYTES = 64;

/**
 * Whether each guest of an image makes an identifier of its own.
 * @param mend empties the files
 */
export function machineIdFinding(volume: Volume, mend: string): Finding {
  const baked: string[] = [];
  const odd: string[] = [];
  let isNoFile = false;
  const seen = new Set<number>();
  for (const path of FILES) {
    const inode = lookup(volume, path, { follow: true });
    // Mostly one is a link to the other.
    if (inode === null || seen.has(inode.number)) continue;
    seen.add(inode.number);
    if (inode.type !== 'file') {
      odd.push(`${path} is no regular file, but a ${inode.type}`);
      isNoFile = true;
      continue;
    }
    const text = readContent(volume, inode, READ_BYTES).toString('latin1').trim();
    if (ID.test(text)) baked.push(path);
    else if (text !== '' && text !== 'uninitialized') odd.push(`${path} holds no identifier`);
  }
  const isRead = READERS.some((path) => lookup(volume, path, { follow: true }) !== null);
  if (baked.length > 0) {
    const detail = `${baked.join(' and ')} ${baked.length === 1 ? 'holds an identifier' : 'hold identifiers'}`;
    if (isRead) return fail('machine_id', `${detail}, which all guests would share`, mend);
    return warn('machine_id', `${detail}, and nothing in the image goes by it`, mend);
  }
  // systemd waits for what a FIFO says; what is no identifier it replaces.
  if (odd.length > 0) return (isNoFile && isRead ? fail : warn)('machine_id', odd.join(' and '), mend);
  return ok('machine_id', isRead ? 'each guest makes its own' : 'none');
}
