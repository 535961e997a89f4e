import { EXTENTS_FLAG, type Inode } from './inode.ts';
import type { Volume } from './volume.ts';

// Where a file's blocks lie. Linux, Documentation/filesystems/ext4/ifork.rst.

const EXTENT_MAGIC = 0xf30a;
/** No tree of the kernel's is deeper (fs/ext4/extents.c, EXT4_MAX_EXTENT_DEPTH). */
const MAX_EXTENT_DEPTH = 5;
const NODE_BYTES = 12;
/** A longer one was allocated and never written, by what is beyond. */
const MAX_WRITTEN = 32768;
const DIRECT_BLOCKS = 12;
const MAX_LOGICAL = 2 ** 32;

/** Blocks of a file that follow each other both in it and on the disk, and were written. Between runs are holes. */
export interface Run {
  /** The first one's number in the file. */
  logical: number;
  /** The first one's number on the disk. */
  physical: number;
  count: number;
}

/** Whether what should be the root of a tree of extents looks like one. */
export function hasExtents({ blocks }: Inode): boolean {
  return blocks.readUInt16LE(0) === EXTENT_MAGIC;
}

/**
 * The runs of a file in their order, up to its size. What was allocated but never written is a hole. Ends on whatever an
 * image may hold: the order must rise, no block of a tree is read twice, no file has more blocks than the filesystem.
 * @throws BangerError `corrupt`
 */
export function* runsOf(volume: Volume, inode: Inode): Generator<Run> {
  const { blockSize, blockCount } = volume.geometry;
  const end = Math.ceil(inode.size / blockSize);
  if (end > MAX_LOGICAL) throw volume.damaged(inode, 'is larger than a file can be');
  const walk = { volume, inode, end, seen: new Set<number>() };
  const all =
    (inode.flags & EXTENTS_FLAG) === 0 ? joined(mappedBlocks(walk)) : extentRuns(walk, inode.blocks, null);
  let next = 0;
  let total = 0;
  for (const { logical, physical, count } of all) {
    if (logical < next) throw volume.damaged(inode, 'has extents that overlap or are out of order');
    next = logical + count;
    total += count;
    if (physical < 1 || physical + count > blockCount) {
      throw volume.damaged(inode, `has block ${physical + count - 1} of ${blockCount}`);
    }
    if (total > blockCount) throw volume.damaged(inode, 'has more blocks than its filesystem');
    if (logical >= end) return;
    yield { logical, physical, count: Math.min(count, end - logical) };
  }
}

interface Walk {
  volume: Volume;
  inode: Inode;
  /** Where the file ends, in blocks. */
  end: number;
  /** Blocks of its tree that were read. */
  seen: Set<number>;
}

/** A block of a file's tree or map. */
function readNode({ volume, inode, seen }: Walk, block: number): Buffer {
  if (block < 1 || block >= volume.geometry.blockCount) {
    throw volume.damaged(inode, `has a map in block ${block} of ${volume.geometry.blockCount}`);
  }
  if (seen.has(block)) throw volume.damaged(inode, `has block ${block} twice in its map`);
  seen.add(block);
  return volume.readBlocks(block, 1);
}

function* extentRuns(walk: Walk, node: Buffer, expectedDepth: number | null): Generator<Run> {
  const { volume, inode } = walk;
  const entries = node.readUInt16LE(2);
  const depth = node.readUInt16LE(6);
  const isSound =
    node.readUInt16LE(0) === EXTENT_MAGIC &&
    NODE_BYTES * (1 + entries) <= node.length &&
    depth === (expectedDepth ?? depth) &&
    depth <= MAX_EXTENT_DEPTH;
  if (!isSound) throw volume.damaged(inode, 'has a broken extent tree');
  for (let at = NODE_BYTES; at < NODE_BYTES * (1 + entries); at += NODE_BYTES) {
    if (depth > 0) {
      const child = node.readUInt16LE(at + 8) * 2 ** 32 + node.readUInt32LE(at + 4);
      yield* extentRuns(walk, readNode(walk, child), depth - 1);
      continue;
    }
    const count = node.readUInt16LE(at + 4);
    if (count === 0) throw volume.damaged(inode, 'has an extent of no blocks');
    if (count > MAX_WRITTEN) continue;
    yield {
      logical: node.readUInt32LE(at),
      physical: node.readUInt16LE(at + 6) * 2 ** 32 + node.readUInt32LE(at + 8),
      count,
    };
  }
}

function* mappedBlocks(walk: Walk): Generator<Run> {
  const { blocks } = walk.inode;
  yield* mapRuns(walk, blocks.subarray(0, DIRECT_BLOCKS * 4), { level: 0, logical: 0 });
  const perBlock = walk.volume.geometry.blockSize / 4;
  let logical = DIRECT_BLOCKS;
  for (const level of [1, 2, 3]) {
    const at = (DIRECT_BLOCKS + level - 1) * 4;
    yield* mapRuns(walk, blocks.subarray(at, at + 4), { level, logical });
    logical += perBlock ** level;
  }
}

/** @param place how many maps are below each number, and where in the file the first one leads */
function* mapRuns(
  walk: Walk,
  map: Buffer,
  { level, logical }: { level: number; logical: number },
): Generator<Run> {
  const each = (walk.volume.geometry.blockSize / 4) ** level;
  for (let at = 0; at + 4 <= map.length; at += 4) {
    const first = logical + (at / 4) * each;
    // What is left in maps beyond a file's end is nobody's.
    if (first >= walk.end) return;
    const block = map.readUInt32LE(at);
    if (block === 0) continue;
    if (level === 0) yield { logical: first, physical: block, count: 1 };
    else yield* mapRuns(walk, readNode(walk, block), { level: level - 1, logical: first });
  }
}

/** Runs that continue each other made one. */
function* joined(runs: Iterable<Run>): Generator<Run> {
  let last: Run | undefined;
  for (const run of runs) {
    const follows =
      last !== undefined &&
      run.logical === last.logical + last.count &&
      run.physical === last.physical + last.count;
    if (last !== undefined && follows) last.count += run.count;
    else {
      if (last !== undefined) yield last;
      last = { ...run };
    }
  }
  if (last !== undefined) yield last;
}
