import { Turn } from '../turn.ts';
import { childInode, childNames, rootOf, textOfChild } from './children.ts';
import type { Inode } from './inode.ts';
import type { Volume } from './volume.ts';

/** Deeper than any path that the kernel would take (PATH_MAX). */
const MAX_DEPTH = 4096;

export interface TreeEntry {
  /** From the root, without a leading slash; of the root, empty. */
  path: string;
  /** Names of one file have the same inode number. */
  inode: Inode;
}

export interface WalkOptions {
  signal?: AbortSignal | undefined;
  /** The directory that paths are from; the root when absent. */
  top?: Inode;
  /** Whether a directory below the root is gone into. */
  enters?: (entry: TreeEntry) => boolean;
}

interface Level {
  directory: Inode;
  path: string;
  names: readonly { name: string; number: number }[];
  next: number;
}

/**
 * Everything in an image: each directory before what is in it, names by their bytes; the same order for the same names.
 * @throws BangerError `corrupt`, also for a directory that is in two places; `preflight_failed`; the signal's reason
 */
export async function* walkVolume(
  volume: Volume,
  { signal, top, enters = () => true }: WalkOptions = {},
): AsyncGenerator<TreeEntry> {
  const turn = new Turn(signal);
  const root = top ?? rootOf(volume);
  const entered = new Set([root.number]);
  const open = (directory: Inode, path: string): Level => {
    volume.spend(Math.ceil(directory.size / volume.geometry.blockSize));
    return { directory, path, names: childNames(volume, directory), next: 0 };
  };
  yield { path: '', inode: root };
  const levels = [open(root, '')];
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const child = level.names[level.next];
    level.next += 1;
    if (child === undefined) {
      levels.pop();
      continue;
    }
    if (turn.isOver) await turn.rest();
    const inode = childInode(volume, level.directory, child.number);
    const name = textOfChild(child.name);
    const entry = { path: level.path === '' ? name : `${level.path}/${name}`, inode };
    if (inode.type === 'directory') {
      if (entered.has(inode.number)) throw volume.damaged(inode, 'is a directory in two places');
      entered.add(inode.number);
    }
    yield entry;
    if (inode.type !== 'directory' || !enters(entry)) continue;
    if (levels.length >= MAX_DEPTH) throw volume.corrupt('has directories too deep to be followed');
    levels.push(open(inode, entry.path));
  }
}
