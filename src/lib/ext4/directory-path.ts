import { type DirectoryEntry, directoryEntries, ROOT_INODE } from './directory.ts';
import type { Inode } from './inode.ts';
import type { Volume } from './volume.ts';

/** Deeper than any path that the kernel would take (PATH_MAX). */
const MAX_DEPTH = 4096;

/**
 * The one path of a directory, in bytes, without its leading slash: empty for the root.
 * @throws BangerError `corrupt`
 */
export function directoryPath(volume: Volume, number: number): Buffer {
  const parts: Buffer[] = [];
  for (let current = number; current !== ROOT_INODE; ) {
    if (parts.length > MAX_DEPTH) throw volume.corrupt('is damaged: directories form a ring');
    const parent = find(volume, volume.inode(current), ({ name }) => name.equals(DOT_DOT)).inode;
    const own = current;
    const entry = find(
      volume,
      volume.inode(parent),
      ({ inode, name }) => inode === own && !name.equals(DOT) && !name.equals(DOT_DOT),
    );
    parts.unshift(entry.name);
    current = parent;
  }
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [SLASH, part])));
}

function find(volume: Volume, directory: Inode, fits: (entry: DirectoryEntry) => boolean): DirectoryEntry {
  for (const entry of directoryEntries(volume, directory)) if (fits(entry)) return entry;
  throw volume.damaged(directory, 'does not have an entry that it should');
}

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');
const SLASH = Buffer.from('/');
