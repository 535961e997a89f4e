import { attributesOf } from '../ext4/attributes.ts';
import type { Piece } from '../ext4/block-content.ts';
import { piecesOf } from '../ext4/content.ts';
import { deviceOf, type FileType, type Inode } from '../ext4/inode.ts';
import { linkTarget } from '../ext4/link-target.ts';
import type { Volume } from '../ext4/volume.ts';
import { type TreeEntry, walkVolume } from '../ext4/walk.ts';
import { bytesOfName } from '../system/file-name.ts';
import { Turn } from '../turn.ts';

/** What can be another in a file that has the same name. */
export type Aspect = 'type' | 'content' | 'target' | 'device' | 'mode' | 'owner' | 'xattrs';

export interface FileChange {
  /** From the image's root, with a leading slash. */
  path: string;
  type: FileType;
  /** Bytes of a regular file's content; null for what has none. */
  size: number | null;
}

export interface ChangedFile extends FileChange {
  what: Aspect[];
  type_before: FileType;
  size_before: number | null;
}

export interface TreeChanges {
  added: FileChange[];
  removed: FileChange[];
  changed: ChangedFile[];
  /** Bytes of all files' content, each hard link counted once. */
  bytes_before: number;
  bytes_after: number;
}

/** Where e2fsck puts what it finds, made with each filesystem. */
const LOST_AND_FOUND = 'lost+found';

/**
 * What is not the same in the trees of two images. Times do not count, nor how often a file is linked; of files of the same
 * size the contents are read.
 * @throws BangerError `corrupt`; `preflight_failed`; the signal's reason
 */
export async function compareTrees(
  from: Volume,
  to: Volume,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<TreeChanges> {
  const comparison = new Comparison(from, to, signal);
  const [before, after] = [new Side(from, signal), new Side(to, signal)];
  await Promise.all([before.advance(), after.advance()]);
  while (before.entry !== null || after.entry !== null) {
    const order = orderOf(before.entry, after.entry);
    if (order < 0 && before.entry !== null) comparison.changes.removed.push(changeOf(before.entry));
    else if (order > 0 && after.entry !== null) comparison.changes.added.push(changeOf(after.entry));
    else if (before.entry !== null && after.entry !== null)
      await comparison.compare(before.entry, after.entry);
    if (order <= 0) await before.advance();
    if (order >= 0) await after.advance();
  }
  return { ...comparison.changes, bytes_before: before.bytes, bytes_after: after.bytes };
}

/** A walk through one of the images. */
class Side {
  entry: TreeEntry | null = null;
  bytes = 0;
  readonly #walk: AsyncGenerator<TreeEntry>;
  readonly #linked = new Set<number>();

  constructor(volume: Volume, signal?: AbortSignal) {
    this.#walk = walkVolume(volume, { signal, enters: ({ path }) => path !== LOST_AND_FOUND });
  }

  async advance(): Promise<void> {
    const { value, done } = await this.#walk.next();
    this.entry = done === true ? null : value;
    if (this.entry?.path === LOST_AND_FOUND) return this.advance();
    this.#count(this.entry?.inode);
  }

  #count(inode: Inode | undefined): void {
    if (inode?.type !== 'file' || this.#linked.has(inode.number)) return;
    if (inode.links > 1) this.#linked.add(inode.number);
    this.bytes += inode.size;
  }
}

/** Less than 0: the first comes first. A slash comes before whatever may be in a name. */
function orderOf(before: TreeEntry | null, after: TreeEntry | null): number {
  if (before === null || after === null) return before === null ? 1 : -1;
  if (before.path === after.path) return 0;
  const key = (path: string): Buffer => bytesOfName(path.replaceAll('/', '\0'));
  return Buffer.compare(key(before.path), key(after.path));
}

function changeOf({ path, inode }: TreeEntry): FileChange {
  // No walk yields what is of no type.
  const type = inode.type === 'unknown' ? 'file' : inode.type;
  return { path: `/${path}`, type, size: type === 'file' ? inode.size : null };
}

class Comparison {
  readonly changes: Omit<TreeChanges, 'bytes_before' | 'bytes_after'> = {
    added: [],
    removed: [],
    changed: [],
  };
  readonly #from: Volume;
  readonly #to: Volume;
  readonly #turn: Turn;
  /** Of files with several names, whether their contents are the same. */
  readonly #known = new Map<string, boolean>();

  constructor(from: Volume, to: Volume, signal?: AbortSignal) {
    this.#from = from;
    this.#to = to;
    this.#turn = new Turn(signal);
  }

  async compare(before: TreeEntry, after: TreeEntry): Promise<void> {
    const [a, b] = [before.inode, after.inode];
    const what: Aspect[] = a.type === b.type ? await this.#inside(a, b) : ['type'];
    if (a.mode !== b.mode) what.push('mode');
    if (a.uid !== b.uid || a.gid !== b.gid) what.push('owner');
    if (!this.#hasSameAttributes(a, b)) what.push('xattrs');
    if (what.length === 0) return;
    const { type: typeBefore, size: sizeBefore } = changeOf(before);
    this.changes.changed.push({ ...changeOf(after), what, type_before: typeBefore, size_before: sizeBefore });
  }

  async #inside(a: Inode, b: Inode): Promise<Aspect[]> {
    switch (a.type) {
      case 'file':
        return (await this.#hasSameContent(a, b)) ? [] : ['content'];
      case 'symlink':
        return linkTarget(this.#from, a) === linkTarget(this.#to, b) ? [] : ['target'];
      case 'char':
      case 'block': {
        const [one, other] = [deviceOf(a), deviceOf(b)];
        return one.major === other.major && one.minor === other.minor ? [] : ['device'];
      }
      default:
        return [];
    }
  }

  #hasSameAttributes(a: Inode, b: Inode): boolean {
    const [one, other] = [attributesOf(this.#from, a), attributesOf(this.#to, b)];
    return one.size === other.size && [...one].every(([name, value]) => other.get(name)?.equals(value));
  }

  async #hasSameContent(a: Inode, b: Inode): Promise<boolean> {
    if (a.size !== b.size) return false;
    const key = `${a.number}:${b.number}`;
    let same = this.#known.get(key);
    if (same === undefined) {
      same = await this.#readBoth(a, b);
      if (a.links > 1) this.#known.set(key, same);
    }
    return same;
  }

  async #readBoth(a: Inode, b: Inode): Promise<boolean> {
    const [before, after] = [piecesOf(this.#from, a), piecesOf(this.#to, b)];
    for (;;) {
      if (this.#turn.isOver) await this.#turn.rest();
      const [one, other] = [before.next(), after.next()];
      if (one.done === true || other.done === true) return one.done === other.done;
      if (!isSame(one.value, other.value)) return false;
    }
  }
}

function isSame(one: Piece, other: Piece): boolean {
  return one.position === other.position && one.bytes.equals(other.bytes);
}
