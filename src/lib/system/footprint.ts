import type { BigIntStats, Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { filesystemOf } from './filesystem.ts';
import { run } from './process.ts';
import type { Room } from './room.ts';
import { walkTree } from './tree.ts';

/** What st_blocks counts in (stat(3type)). */
const SECTOR = 512;
/** Where cp finds the holes of a file (SEEK_HOLE, lseek(2)), and leaves them out. */
const TELLING_HOLES = ['ext4', 'xfs', 'btrfs', 'tmpfs'];

/**
 * What a copy of a file or a directory tree takes at the least, holes left out. Of a filesystem that does not tell where
 * the holes are, no bytes are certain.
 */
export async function footprintOf(path: string): Promise<Room> {
  const found = await stat(path);
  if (!found.isDirectory()) return { bytes: bytesOf(path, found), inodes: 1 };
  const room: Room = { bytes: 0, inodes: 1 };
  const linked = new Set<bigint>();
  for await (const { stats } of walkTree(path)) {
    if (linked.has(stats.ino)) continue;
    if (stats.nlink > 1n && !stats.isDirectory()) linked.add(stats.ino);
    room.inodes += 1;
    if (stats.isFile()) room.bytes += bytesOf(path, stats);
  }
  return room;
}

/** Not more than the size: XFS allocates ahead of what is written. */
function bytesOf(path: string, { blocks, size }: Pick<Stats | BigIntStats, 'blocks' | 'size'>): number {
  if (!TELLING_HOLES.includes(filesystemOf(path).name)) return 0;
  return Math.min(Number(blocks) * SECTOR, Number(size));
}

/**
 * How much of what footprintOf counts is allocated but was never written (fallocate(1)), which cp may take for holes,
 * in bytes: all of it where that cannot be told. A tree is taken for written. Slow: a program is started.
 */
export async function unwrittenBytes(path: string): Promise<number> {
  const found = await stat(path);
  if (found.isDirectory()) return 0;
  const { exitCode, stdout } = await run('filefrag', ['-v', `-b${SECTOR}`, path], { okExit: 'any' });
  if (exitCode !== 0) return bytesOf(path, found);
  let sectors = 0;
  for (const [, length, flags = ''] of stdout.matchAll(EXTENT)) {
    if (/\bunwritten\b/u.test(flags)) sectors += Number(length);
  }
  return sectors * SECTOR;
}

/** A line of `filefrag -v`: number, logical and physical offsets, length, perhaps the offset expected, flags. */
const EXTENT = /^ +\d+: +\d+\.\. *\d+: +\d+\.\. *\d+: +(\d+):(.*)$/gmu;
