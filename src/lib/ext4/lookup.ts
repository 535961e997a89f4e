import { BangerError } from '../errors.ts';
import { bytesOfName } from '../system/file-name.ts';
import { oneLine } from '../text.ts';
import { childInode, rootOf } from './children.ts';
import { readContent } from './content.ts';
import { directoryEntries } from './directory.ts';
import type { Inode } from './inode.ts';
import { linkTarget } from './link-target.ts';
import type { Volume } from './volume.ts';

/** As the kernel has it (path_resolution(7)). */
const MAX_LINKS = 40;
/** How many blocks of directories one path is looked for in; a million files take some 10,000. */
const MAX_BLOCKS = 2 ** 18;

export interface LookupOptions {
  /** Whether a symbolic link at the path's end is followed, too; those on the way always are. */
  follow: boolean;
}

/**
 * The inode of a path, as for a process whose root directory is the image's: absolute links and `..` stay inside.
 * @returns null when there is none
 * @throws BangerError `corrupt`; `preflight_failed` for a path of more than 40 links, one that leads through huge directories
 * again and again, or an encrypted directory
 */
export function lookup(volume: Volume, path: string, { follow }: LookupOptions): Inode | null {
  const root = rootOf(volume);
  const trail = [root];
  const parts = path.split('/').reverse();
  let links = 0;
  let blocks = 0;
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const directory = trail.at(-1) ?? root;
    if (part === '' || part === '.') {
      if (directory.type !== 'directory') return null;
      continue;
    }
    if (directory.type !== 'directory') return null;
    if (part === '..') {
      if (trail.length > 1) trail.pop();
      continue;
    }
    blocks += Math.ceil(directory.size / volume.geometry.blockSize);
    if (blocks > MAX_BLOCKS) {
      throw new BangerError(
        'preflight_failed',
        `${oneLine(volume.path)}: ${oneLine(path)} goes through too much of its directories`,
      );
    }
    const child = findChild(volume, directory, part);
    if (child === null) return null;
    // A slash behind a link wants what it leads to.
    if (child.type !== 'symlink' || (parts.length === 0 && !follow)) {
      trail.push(child);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) {
      throw new BangerError(
        'preflight_failed',
        `${oneLine(volume.path)}: ${oneLine(path)} goes through more than ${MAX_LINKS} symbolic links`,
      );
    }
    const target = linkTarget(volume, child);
    if (target.startsWith('/')) trail.splice(1);
    parts.push(...target.split('/').reverse());
  }
  return trail.at(-1) ?? null;
}

function findChild(volume: Volume, directory: Inode, name: string): Inode | null {
  const wanted = bytesOfName(name);
  for (const entry of directoryEntries(volume, directory)) {
    if (entry.name.equals(wanted)) return childInode(volume, directory, entry.inode);
  }
  return null;
}

/**
 * A file's content by its path, symbolic links followed inside the image.
 * @returns null when there is no regular file of that name
 * @throws BangerError as lookup; `preflight_failed` when it has more than `limit` bytes
 */
export function readFile(volume: Volume, path: string, { limit }: { limit: number }): Buffer | null {
  const inode = lookup(volume, path, { follow: true });
  if (inode === null || inode.type !== 'file') return null;
  if (inode.size > limit) {
    const sizes = `${inode.size} bytes, more than the ${limit} that are read`;
    throw new BangerError('preflight_failed', `${oneLine(volume.path)}: ${oneLine(path)} has ${sizes}`);
  }
  return readContent(volume, inode, inode.size);
}
