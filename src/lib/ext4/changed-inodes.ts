import { type Inode, parseInode } from './inode.ts';
import type { GroupTable, Volume } from './volume.ts';

/** How much of a table is read at once, in bytes. */
const CHUNK = 64 * 1024;
const NOTHING = Buffer.alloc(CHUNK);

/**
 * Every inode in use that changed at or after a time (milliseconds since the epoch), in order of their numbers: all of them
 * in a few milliseconds, for what a walk through FUSE takes seconds.
 * @param wanted by the whole of i_mode, type bits included
 */
export function* changedInodes(
  volume: Volume,
  time: number,
  wanted: (mode: number) => boolean = () => true,
): Generator<Inode> {
  const { inodesPerGroup, inodeSize, groupCount } = volume.geometry;
  const seconds = Math.floor(time / 1000);
  for (let group = 0; group < groupCount; group += 1) {
    for (const { first, bytes } of chunksOf(volume, volume.groupTable(group))) {
      for (let at = 0; at + inodeSize <= bytes.length; at += inodeSize) {
        // Free, or deleted, or (by far the most) too old by its whole seconds: the cheap checks first.
        const mode = bytes.readUInt16LE(at);
        if (mode === 0 || bytes.readUInt16LE(at + 0x1a) === 0) continue;
        if (bytes.readUInt32LE(at + 0x0c) < seconds % 2 ** 32 || !wanted(mode)) continue;
        const number = group * inodesPerGroup + first + at / inodeSize + 1;
        const inode = parseInode(number, bytes.subarray(at, at + inodeSize), volume.geometry);
        if (inode.changed >= time) yield inode;
      }
    }
  }
}

/** The used beginning of a group's table, and whatever follows it until a chunk of nothing. */
function* chunksOf(
  volume: Volume,
  { firstBlock, used }: GroupTable,
): Generator<{ first: number; bytes: Buffer }> {
  const { inodesPerGroup, inodeSize, blockSize } = volume.geometry;
  const perChunk = CHUNK / inodeSize;
  for (let first = 0; first < inodesPerGroup; first += perChunk) {
    const count = Math.min(perChunk, inodesPerGroup - first);
    const firstOfChunk = firstBlock + Math.floor((first * inodeSize) / blockSize);
    const blocks = volume.readBlocks(firstOfChunk, Math.ceil((count * inodeSize) / blockSize));
    const bytes = blocks.subarray(0, count * inodeSize);
    if (first >= used && bytes.equals(NOTHING.subarray(0, bytes.length))) return;
    yield { first, bytes };
  }
}
