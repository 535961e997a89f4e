import { type BigIntStats, constants, lstatSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';

export interface FilesystemType {
  /** As mount(8) calls it, or the magic number in hex when it is none that we know. */
  name: string;
  /** SQLite's WAL needs memory that all who open the database share, which no file server gives. */
  remote: boolean;
}

const local = (name: string): FilesystemType => ({ name, remote: false });
const remote = (name: string): FilesystemType => ({ name, remote: true });

/** f_type of statfs(2); numbers from linux/magic.h, those of SMB and CIFS from fs/smb. */
const TYPES = new Map<number, FilesystemType>([
  [0xef53, local('ext4')],
  [0x58465342, local('xfs')],
  [0x9123683e, local('btrfs')],
  [0xf2f52010, local('f2fs')],
  [0xca451a4e, local('bcachefs')],
  [0x2fc12fc1, local('zfs')],
  [0x01021994, local('tmpfs')],
  [0x858458f6, local('ramfs')],
  [0x794c7630, local('overlay')],
  [0x65735546, local('fuse')],
  [0x61756673, local('aufs')],
  [0x4d44, local('vfat')],
  [0x6969, remote('nfs')],
  [0x517b, remote('smb')],
  [0xff534d42, remote('cifs')],
  [0xfe534d42, remote('smb2')],
  [0x01021997, remote('9p')],
  [0x00c36400, remote('ceph')],
  [0x5346414f, remote('afs')],
]);

/** The filesystem that an existing path is on. Two system calls; made for the start of every command. */
export function filesystemOf(path: string | Buffer): FilesystemType {
  const { type } = statfsSync(path);
  return TYPES.get(type) ?? local(`0x${type.toString(16)}`);
}

/** Whether nothing is there. What cannot be looked at is not missing: opening it tells why. */
export function isMissing(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

/** What stat(2) says of a path, or null when the system cannot say: nothing is there, it is out of reach, it is a loop. */
export function statIfPossible(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return null;
  }
}

/**
 * Whether a name is taken, be it by a link that leads nowhere.
 * @throws what lstat(2) says, unless that is that nothing is there
 */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** A path, or the nearest directory above it that exists. */
export function existingPart(path: string): string {
  let current = path;
  for (;;) {
    try {
      statSync(current);
      return current;
    } catch (error) {
      const above = dirname(current);
      if (errnoOf(error) !== 'ENOENT' || above === current) return current;
      current = above;
    }
  }
}

export interface Space {
  /** Bytes that this user may still write. */
  freeBytes: number;
  totalBytes: number;
  /** Null where the filesystem makes inodes as it needs them (btrfs). */
  freeInodes: number | null;
}

/** What is left on the filesystem of an existing path. */
export function spaceOf(path: string): Space {
  const { bavail, bfree, blocks, bsize, files, ffree } = statfsSync(path);
  return {
    // Root may use what is kept for it.
    freeBytes: (process.geteuid?.() === 0 ? bfree : bavail) * bsize,
    totalBytes: blocks * bsize,
    freeInodes: files === 0 ? null : ffree,
  };
}

/** Where the filesystem of an existing path is mounted: the uppermost directory above it on the same device. */
export function mountPointOf(path: string): string {
  let current = realpathSync(path);
  const { dev } = statSync(current);
  for (;;) {
    const above = dirname(current);
    if (above === current || statSync(above).dev !== dev) return current;
    current = above;
  }
}

/** Whether files of a directory can share extents (ioctl_ficlone(2)): tried on two files that are removed again. */
export async function canReflink(directory: string): Promise<boolean> {
  const probe = await mkdtemp(join(directory, '.reflink-'));
  try {
    // An empty file can be cloned anywhere.
    await writeFile(join(probe, 'source'), Buffer.alloc(4096, 1));
    await copyFile(join(probe, 'source'), join(probe, 'clone'), constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (error) {
    if (
      ['EOPNOTSUPP', 'ENOTSUP', 'ENOTTY', 'EINVAL', 'EXDEV', 'ENOSYS', 'EPERM'].includes(errnoOf(error) ?? '')
    )
      return false;
    throw error;
  } finally {
    await rm(probe, { recursive: true });
  }
}
