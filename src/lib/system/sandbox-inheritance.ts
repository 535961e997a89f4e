import { changedInodes } from '../ext4/changed-inodes.ts';
import { readContent } from '../ext4/content.ts';
import { type DirectoryEntry, directoryEntries, ROOT_INODE } from '../ext4/directory.ts';
import { directoryPath } from '../ext4/directory-path.ts';
import type { Inode } from '../ext4/inode.ts';
import { lookup } from '../ext4/lookup.ts';
import { Volume } from '../ext4/volume.ts';

// What fuse2fs leaves undone: a new entry of a setgid directory should have the directory's group (inode(7)), but gets
// its maker's; and the kernel takes setuid and setgid from a file that a mapped root writes to. Both are looked for in
// the image file itself, into which fuse2fs must have flushed what it holds back.

const SETUID = 0o4000;
const SETGID = 0o2000;
const TYPE_MASK = 0xf000;
const DIRECTORY = 0x4000;
const REGULAR = 0x8000;
/** Inodes of so many bytes have no time of their creation (inodes.rst, i_crtime). */
const SMALL_INODE_BYTES = 128;
const MAX_PASSWD_BYTES = 1024 * 1024;
/** How far the kernel's coarse clock, which touch(1) sets times by, may be behind fuse2fs's, in milliseconds. */
const CLOCKS_APART = 20;

export interface GroupRepair {
  /** From the root of the image, without a leading slash: any bytes. */
  path: Buffer;
  gid: number;
  /** To set again, because a change of group clears setuid and setgid; else null. */
  mode: number | null;
}

export interface Inheritance {
  repairs: GroupRepair[];
  /** Paths of files that were written to and are no longer setuid or setgid. */
  stripped: Buffer[];
  /** New entries with times of their own, which were therefore restored with an owner of their own. */
  restored: number;
}

/** Files that were setuid or setgid when they were last looked at. */
export type PrivilegedFiles = Map<number, { mode: number; uid: number; created: number | null }>;

/** All setuid and setgid files of an image, and whether it can tell what is new. */
export function privilegedFiles(image: string): { files: PrivilegedFiles; hasCreationTimes: boolean } {
  return withImage(image, (volume) => ({
    files: recordPrivileged(volume, new Map(), Number.NEGATIVE_INFINITY),
    hasCreationTimes: volume.geometry.inodeSize > SMALL_INODE_BYTES,
  }));
}

function recordPrivileged(volume: Volume, files: PrivilegedFiles, since: number): PrivilegedFiles {
  for (const { number, mode, uid, created } of changedInodes(volume, since, isRegular)) {
    if ((mode & (SETUID | SETGID)) !== 0) files.set(number, { mode, uid, created });
    else files.delete(number);
  }
  return files;
}

/** Paths of some regular files of plain names, relative to the root, from the top. */
export function someFiles(image: string, count: number): string[] {
  return withImage(image, (volume) => {
    const found: string[] = [];
    const todo = [{ number: ROOT_INODE, path: '.' }];
    for (let next = todo.shift(); next !== undefined && found.length < count; next = todo.shift()) {
      for (const { inode, name } of directoryEntries(volume, volume.inode(next.number))) {
        const path = `${next.path}/${name.toString('latin1')}`;
        if (!/^[\w./-]*\w$/u.test(path)) continue;
        const { type } = volume.inode(inode);
        if (type === 'directory') todo.push({ number: inode, path });
        else if (type === 'file' && found.push(path) === count) break;
      }
    }
    return found;
  });
}

/**
 * What has to be mended after the changes since a time (milliseconds since the epoch); brings `privileged` up to date.
 * Nothing may write to the image meanwhile.
 *
 * A new entry of a setgid directory is taken to lack the group when it has its maker's own. It is left as it is when
 * it was modified before it was created: then an archiver (tar, dpkg, cp -a) has set its times, and its owner with them.
 * @throws BangerError `corrupt`
 */
export function examineInheritance(image: string, since: number, privileged: PrivilegedFiles): Inheritance {
  return withImage(image, (volume) => {
    const stripped = pathsOf(volume, strippedFiles(volume, since, privileged));
    recordPrivileged(volume, privileged, since);
    const directories = [...changedInodes(volume, since, isSetgidDirectory)];
    if (directories.length === 0) return { repairs: [], stripped, restored: 0 };
    return { ...new Heirs(volume, since).of(directories), stripped };
  });
}

function isRegular(mode: number): boolean {
  return (mode & TYPE_MASK) === REGULAR;
}

function isDirectory(mode: number): boolean {
  return (mode & TYPE_MASK) === DIRECTORY;
}

function isSetgidDirectory(mode: number): boolean {
  return isDirectory(mode) && (mode & SETGID) !== 0;
}

function withImage<T>(image: string, use: (volume: Volume) => T): T {
  const volume = new Volume(image);
  try {
    return use(volume);
  } finally {
    volume.close();
  }
}

function strippedFiles(volume: Volume, since: number, privileged: PrivilegedFiles): Set<number> {
  const found = new Set<number>();
  for (const { number, mode, uid, created, modified } of changedInodes(volume, since, isRegular)) {
    const before = privileged.get(number);
    // A file of another owner or birth lost them rightly, one that was not written to was meant to.
    if (before === undefined || before.uid !== uid || before.created !== created || modified < since)
      continue;
    if ((before.mode & (SETUID | SETGID) & ~mode) !== 0) found.add(number);
  }
  return found;
}

/** Paths of inodes that are no directories, by looking into every directory there is. */
function pathsOf(volume: Volume, numbers: ReadonlySet<number>): Buffer[] {
  if (numbers.size === 0) return [];
  return [...changedInodes(volume, Number.NEGATIVE_INFINITY, isDirectory)].flatMap((directory) =>
    [...directoryEntries(volume, directory)]
      .filter(({ inode }) => numbers.has(inode))
      .map(({ name }) => join(directoryPath(volume, directory.number), name)),
  );
}

/** Finds what lacks a directory's group, and in new directories below it too. */
class Heirs {
  readonly #volume: Volume;
  readonly #since: number;
  readonly #repairs = new Map<number, GroupRepair>();
  readonly #restored = new Set<number>();
  #groups: Map<number, number> | undefined;

  constructor(volume: Volume, since: number) {
    this.#volume = volume;
    this.#since = since;
  }

  of(directories: readonly Inode[]): { repairs: GroupRepair[]; restored: number } {
    // From the top, so that what is below inherits what its parent is given.
    const byDepth = directories
      .map((inode) => ({ inode, path: directoryPath(this.#volume, inode.number) }))
      .sort((a, b) => a.path.length - b.path.length);
    for (const { inode, path } of byDepth) {
      this.#descend(inode, path, this.#repairs.get(inode.number)?.gid ?? inode.gid);
    }
    return { repairs: [...this.#repairs.values()], restored: this.#restored.size };
  }

  #descend(directory: Inode, path: Buffer, gid: number): void {
    const todo = [{ directory, path, gid }];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      for (const entry of directoryEntries(this.#volume, next.directory)) {
        const child = this.#heir(entry, next.gid);
        if (child === null) continue;
        const childPath = join(next.path, entry.name);
        const mode = child.type === 'file' && (child.mode & (SETUID | SETGID)) !== 0 ? child.mode : null;
        this.#repairs.set(child.number, { path: childPath, gid: next.gid, mode });
        if (child.type === 'directory' && (child.mode & SETGID) !== 0) {
          todo.push({ directory: child, path: childPath, gid: next.gid });
        }
      }
    }
  }

  /** The inode of an entry that should have had the group and has not. */
  #heir({ inode, name }: DirectoryEntry, gid: number): Inode | null {
    if (name.equals(DOT) || name.equals(DOT_DOT)) return null;
    const child = this.#volume.inode(inode);
    if (child.created === null || child.created < this.#since || child.gid === gid) return null;
    if (child.gid !== this.#groupOf(child.uid)) return null;
    if (child.modified < child.created - CLOCKS_APART) {
      this.#restored.add(inode);
      return null;
    }
    return child;
  }

  /** A user's own group: as the image's passwd(5) has it, else the one of the same number. */
  #groupOf(uid: number): number {
    this.#groups ??= readGroups(this.#volume);
    return this.#groups.get(uid) ?? uid;
  }
}

function readGroups(volume: Volume): Map<number, number> {
  const file = lookup(volume, 'etc/passwd', { follow: false });
  const passwd = file?.type === 'file' ? readContent(volume, file, MAX_PASSWD_BYTES).toString('latin1') : '';
  const groups = new Map<number, number>();
  for (const line of passwd.split('\n')) {
    const [, , uid, gid] = line.split(':');
    if (uid !== undefined && gid !== undefined && !groups.has(Number(uid)))
      groups.set(Number(uid), Number(gid));
  }
  return groups;
}

function join(directory: Buffer, name: Buffer): Buffer {
  return directory.length === 0 ? name : Buffer.concat([directory, SLASH, name]);
}

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');
const SLASH = Buffer.from('/');
