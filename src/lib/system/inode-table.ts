import { BangerError } from '../errors.ts';
import { openRegular, type RegularFile } from './regular-file.ts';
import { parseSuperblock, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET } from './superblock.ts';

// Reads inodes straight from an ext4 image, all of them in a few milliseconds: what a walk through FUSE takes seconds
// for. Offsets and flags: Linux, Documentation/filesystems/ext4/{super,group_descr,inodes,ifork}.rst.

const META_BG = 0x10;
const SIXTY_FOUR_BIT = 0x80;
/** uninit_bg or metadata_csum: group descriptors say how much of their table was never used. */
const COUNTS_UNUSED = 0x410;
const INODES_UNINITIALIZED = 0x1;
/** How much of a table is read at once, in bytes. */
const CHUNK = 64 * 1024;
const NOTHING = Buffer.alloc(CHUNK);

const TYPE_MASK = 0xf000;
const TYPES: ReadonlyMap<number, 'directory' | 'regular' | 'symlink'> = new Map([
  [0x4000, 'directory'],
  [0x8000, 'regular'],
  [0xa000, 'symlink'],
]);

export const EXTENTS_FLAG = 0x80000;
export const INLINE_DATA_FLAG = 0x10000000;

export interface TableInode {
  number: number;
  type: 'directory' | 'regular' | 'symlink' | 'other';
  /** 07777 at most. */
  mode: number;
  uid: number;
  gid: number;
  /** Milliseconds since the epoch, with fractions; so are the others. */
  changed: number;
  modified: number;
  /** Null where inodes are too small to say (128 bytes). */
  created: number | null;
  flags: number;
  /** Bytes; of a directory, whole blocks. */
  size: number;
  /** i_block: 60 bytes that say where the content is. */
  blocks: Buffer;
}

interface Layout {
  blockSize: number;
  inodeSize: number;
  inodesPerGroup: number;
  inodeCount: number;
  groups: readonly GroupTable[];
}

/** One group's part of the table. */
interface GroupTable {
  firstBlock: number;
  /** How many inodes at its beginning were ever used, as the descriptor has it: fuse2fs may be a moment behind. */
  used: number;
}

function readLayout(file: RegularFile, path: string): Layout {
  const bytes = file.readAt(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES);
  const parsed = parseSuperblock(bytes);
  if (parsed.kind !== 'valid') throw new BangerError('corrupt', `${path} holds no usable ext4 filesystem`);
  const { blockSize, blockCount, inodeCount } = parsed.superblock;
  const incompatible = bytes.readUInt32LE(0x60);
  if ((incompatible & META_BG) !== 0) {
    throw new BangerError('preflight_failed', `${path}: its group descriptors are spread out (meta_bg)`);
  }
  const wide = (incompatible & SIXTY_FOUR_BIT) !== 0;
  const descriptorSize = wide ? Math.max(32, bytes.readUInt16LE(0xfe)) : 32;
  const firstDataBlock = bytes.readUInt32LE(0x14);
  const groupCount = Math.ceil((blockCount - firstDataBlock) / bytes.readUInt32LE(0x20));
  const descriptors = file.readAt((firstDataBlock + 1) * blockSize, groupCount * descriptorSize);
  const countsUnused = (bytes.readUInt32LE(0x64) & COUNTS_UNUSED) !== 0;
  const inodesPerGroup = bytes.readUInt32LE(0x28);
  const tables: GroupTable[] = [];
  for (let at = 0; at + descriptorSize <= descriptors.length; at += descriptorSize) {
    const descriptor = descriptors.subarray(at, at + descriptorSize);
    const high = descriptorSize >= 64;
    const unused = descriptor.readUInt16LE(0x1c) + (high ? descriptor.readUInt16LE(0x32) * 65536 : 0);
    const untouched = (descriptor.readUInt16LE(0x12) & INODES_UNINITIALIZED) !== 0;
    tables.push({
      firstBlock: descriptor.readUInt32LE(0x8) + (high ? descriptor.readUInt32LE(0x28) * 2 ** 32 : 0),
      used: inodesPerGroup - (countsUnused ? (untouched ? inodesPerGroup : unused) : 0),
    });
  }
  return {
    blockSize,
    inodeSize: bytes.readUInt32LE(0x4c) === 0 ? 128 : bytes.readUInt16LE(0x58),
    inodesPerGroup,
    inodeCount,
    groups: tables,
  };
}

/** Seconds are signed and have two more bits beside the nanoseconds (inodes.rst, Inode Timestamps). */
function readTime(inode: Buffer, seconds: number, extra: number, hasExtra: boolean): number {
  const low = inode.readInt32LE(seconds);
  if (!hasExtra) return low * 1000;
  const more = inode.readUInt32LE(extra);
  return (low + (more & 3) * 2 ** 32) * 1000 + (more >>> 2) / 1e6;
}

function parseInode(number: number, inode: Buffer): TableInode {
  const mode = inode.readUInt16LE(0);
  const extraSize = inode.length > 128 ? inode.readUInt16LE(0x80) : 0;
  const has = (end: number): boolean => 128 + extraSize >= end;
  return {
    number,
    type: TYPES.get(mode & TYPE_MASK) ?? 'other',
    mode: mode & 0o7777,
    uid: inode.readUInt16LE(2) + inode.readUInt16LE(0x78) * 65536,
    gid: inode.readUInt16LE(0x18) + inode.readUInt16LE(0x7a) * 65536,
    changed: readTime(inode, 0xc, 0x84, has(0x88)),
    modified: readTime(inode, 0x10, 0x88, has(0x8c)),
    created: has(0x98) ? readTime(inode, 0x90, 0x94, true) : null,
    flags: inode.readUInt32LE(0x20),
    size: inode.readUInt32LE(0x4) + inode.readUInt32LE(0x6c) * 2 ** 32,
    blocks: Buffer.from(inode.subarray(0x28, 0x64)),
  };
}

/** An ext4 image's inodes, as they lie in the file: not what the kernel holds in memory of a mounted one. */
export class InodeTable {
  readonly path: string;
  readonly blockSize: number;
  /** Whether inodes have room for them (inodes.rst, i_crtime). */
  readonly hasCreationTimes: boolean;
  readonly #file: RegularFile;
  readonly #layout: Layout;

  /** @throws BangerError `corrupt`, or `preflight_failed` for a layout that is not read here */
  constructor(path: string) {
    this.path = path;
    this.#file = openRegular(path);
    try {
      this.#layout = readLayout(this.#file, path);
    } catch (error) {
      this.#file.close();
      throw error;
    }
    this.blockSize = this.#layout.blockSize;
    this.hasCreationTimes = this.#layout.inodeSize > 128;
  }

  close(): void {
    this.#file.close();
  }

  readBlock(block: number): Buffer {
    return this.#file.readAt(block * this.blockSize, this.blockSize);
  }

  inode(number: number): TableInode {
    const { inodesPerGroup, inodeSize, groups, inodeCount } = this.#layout;
    const table = groups[Math.floor((number - 1) / inodesPerGroup)];
    if (number < 1 || number > inodeCount || table === undefined) {
      throw new BangerError('corrupt', `${this.path}: it has no inode ${number}`);
    }
    const at = table.firstBlock * this.blockSize + ((number - 1) % inodesPerGroup) * inodeSize;
    return parseInode(number, this.#file.readAt(at, inodeSize));
  }

  /**
   * Every inode in use that changed at or after a time (milliseconds since the epoch), in order of their numbers.
   * @param wanted by the whole of i_mode, type bits included
   */
  *changedSince(time: number, wanted: (mode: number) => boolean = () => true): Generator<TableInode> {
    const { inodesPerGroup, inodeSize } = this.#layout;
    const seconds = Math.floor(time / 1000);
    for (const [group, table] of this.#layout.groups.entries()) {
      for (const { first, bytes } of this.#chunks(table)) {
        for (let at = 0; at + inodeSize <= bytes.length; at += inodeSize) {
          // Free, or deleted, or (by far the most) too old by its whole seconds: the cheap checks first.
          const mode = bytes.readUInt16LE(at);
          if (mode === 0 || bytes.readUInt16LE(at + 0x1a) === 0) continue;
          if (bytes.readUInt32LE(at + 0x0c) < seconds % 2 ** 32 || !wanted(mode)) continue;
          const number = group * inodesPerGroup + first + at / inodeSize + 1;
          const inode = parseInode(number, bytes.subarray(at, at + inodeSize));
          if (inode.changed >= time) yield inode;
        }
      }
    }
  }

  /** The used beginning of a group's table, and whatever follows it until a chunk of nothing. */
  *#chunks({ firstBlock, used }: GroupTable): Generator<{ first: number; bytes: Buffer }> {
    const { inodesPerGroup, inodeSize } = this.#layout;
    const perChunk = CHUNK / inodeSize;
    for (let first = 0; first < inodesPerGroup; first += perChunk) {
      const count = Math.min(perChunk, inodesPerGroup - first);
      const bytes = this.#file.readAt(firstBlock * this.blockSize + first * inodeSize, count * inodeSize);
      if (first >= used && bytes.equals(NOTHING.subarray(0, bytes.length))) return;
      yield { first, bytes };
    }
  }
}
