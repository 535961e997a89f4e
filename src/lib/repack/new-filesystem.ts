import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { BangerError } from '../errors.ts';
import { hasSuperblock } from '../ext4/geometry.ts';
import { runsOf } from '../ext4/runs.ts';
import { withVolume } from '../ext4/volume.ts';
import { SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET } from '../system/superblock.ts';
import { oneLine } from '../text.ts';
import { BlockMap, type Stretch } from './block-map.ts';
import { CHECKSUM_START, crc32c, crc32cOfNumber } from './checksum.ts';
import { encodeInode, INODE_BYTES, type NewInode, setInodeChecksum, setTimes } from './inode-bytes.ts';
import { dateSuperblock, keepFields, setSuperblockChecksum } from './superblock-bytes.ts';

// A filesystem that mke2fs has just made, with the features that makeExt4 gives, filled from its beginning on. Layouts and
// checksums: Linux, Documentation/filesystems/ext4/{super,group_descr,bitmaps,checksums}.rst.

export const ROOT = 2;
export const LOST_AND_FOUND = 11;
const INODES_UNINITIALIZED = 0x1;
const BLOCKS_UNINITIALIZED = 0x2;
const WIDE_DESCRIPTOR_BYTES = 64;

interface Layout {
  blockSize: number;
  blockCount: number;
  firstBlock: number;
  blocksPerGroup: number;
  inodesPerGroup: number;
  inodeCount: number;
  groupCount: number;
  descriptorSize: number;
  /** Groups that begin with a superblock and all descriptors. */
  copies: readonly number[];
  /** Behind each copy of the superblock. */
  descriptorBlocks: number;
  reservedBlocks: number;
}

/** Where one group has its maps, and what has become of it. */
interface Group {
  first: number;
  count: number;
  descriptor: Buffer;
  blockBitmap: number;
  inodeBitmap: number;
  table: number;
  /** Inodes in use, by their place in the table. */
  inodes: Set<number>;
  directories: number;
}

export class NewFilesystem {
  readonly blockSize: number;
  /** What all checksums begin with. */
  readonly seed: number;
  readonly #path: string;
  readonly #file: number;
  readonly #superblock: Buffer;
  readonly #layout: Layout;
  readonly #descriptors: Buffer;
  readonly #groups: readonly Group[];
  readonly #blocks: BlockMap;
  #nextInode = LOST_AND_FOUND + 1;

  /** Opens what mke2fs made, and gives up the directories that it made; both are to be written. */
  static async open(path: string): Promise<NewFilesystem> {
    const { layoutOf, blocks, old } = await withVolume(path, (volume) => ({
      layoutOf: volume.geometry,
      blocks: new BlockMap(volume),
      old: [ROOT, LOST_AND_FOUND].flatMap((number) =>
        [...runsOf(volume, volume.inode(number))].map(
          ({ physical, count }): Stretch => ({ first: physical, count }),
        ),
      ),
    }));
    const filesystem = new NewFilesystem(path, layoutOf, blocks);
    for (const stretch of old) blocks.release(stretch);
    return filesystem;
  }

  private constructor(
    path: string,
    geometry: Pick<Layout, 'blockSize' | 'blockCount' | 'groupCount' | 'descriptorSize'> & {
      inodesPerGroup: number;
      inodeCount: number;
      inodeSize: number;
    },
    blocks: BlockMap,
  ) {
    this.#path = path;
    this.#file = openSync(path, 'r+');
    this.#blocks = blocks;
    const superblock = this.#read(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES);
    this.#superblock = superblock;
    this.blockSize = geometry.blockSize;
    if (geometry.inodeSize !== INODE_BYTES || geometry.descriptorSize !== WIDE_DESCRIPTOR_BYTES) {
      throw new Error('mke2fs made another filesystem than it was told to');
    }
    this.seed = crc32c(CHECKSUM_START, superblock.subarray(0x68, 0x78));
    const { groupCount, blockSize } = geometry;
    this.#layout = {
      ...geometry,
      firstBlock: superblock.readUInt32LE(0x14),
      blocksPerGroup: superblock.readUInt32LE(0x20),
      copies: Array.from({ length: groupCount }, (_, group) => group).filter((group) =>
        hasSuperblock(group, superblock),
      ),
      descriptorBlocks: Math.ceil((groupCount * WIDE_DESCRIPTOR_BYTES) / blockSize),
      reservedBlocks: superblock.readUInt16LE(0xce),
    };
    const { firstBlock, descriptorBlocks } = this.#layout;
    this.#descriptors = this.#read((firstBlock + 1) * blockSize, descriptorBlocks * blockSize);
    this.#groups = Array.from({ length: groupCount }, (_, group) => this.#readGroup(group));
    for (const [index, group] of this.#groups.entries()) this.#useGroup(index, group);
    // Blocks of 1 KiB are in groups from the second one on.
    blocks.use({ first: 0, count: firstBlock });
  }

  close(): void {
    closeSync(this.#file);
  }

  /** @throws BangerError `tool_failed` when there is none left */
  takeInode(): number {
    if (this.#nextInode > this.#layout.inodeCount) throw this.#full('inodes');
    this.#nextInode += 1;
    return this.#nextInode - 1;
  }

  /** @throws BangerError `tool_failed` when there is none left */
  takeBlocks(most: number): Stretch {
    const stretch = this.#blocks.take(most);
    if (stretch === null) throw this.#full('blocks');
    return stretch;
  }

  writeBlocks(first: number, bytes: Buffer): void {
    this.#write(first * this.blockSize, bytes);
  }

  /** Writes an inode whose number was taken, or is that of a directory that mke2fs made. */
  writeInode(inode: NewInode): void {
    const { inodesPerGroup } = this.#layout;
    const group = this.#groupOf(inode.number);
    const index = (inode.number - 1) % inodesPerGroup;
    group.inodes.add(index);
    if (inode.type === 'directory') group.directories += 1;
    this.#write(group.table * this.blockSize + index * INODE_BYTES, encodeInode(inode, this.seed));
  }

  /**
   * Writes all that counts what is there.
   * @param like the superblock of the filesystem that the content is of
   * @param epoch seconds; when it was made
   */
  finish(like: Buffer, epoch: number): void {
    for (let number = 1; number < LOST_AND_FOUND; number += 1) {
      if (number !== ROOT) this.#dateOwnInode(number, epoch);
    }
    let [freeBlocks, freeInodes] = [0, 0];
    for (const [index, group] of this.#groups.entries()) {
      const free = this.#finishGroup(index, group);
      freeBlocks += free.blocks;
      freeInodes += free.inodes;
    }
    const superblock = this.#superblock;
    keepFields(superblock, like);
    dateSuperblock(superblock, epoch);
    superblock.writeUInt32LE(freeBlocks % 2 ** 32, 0xc);
    superblock.writeUInt32LE(Math.floor(freeBlocks / 2 ** 32), 0x158);
    superblock.writeUInt32LE(freeInodes, 0x10);
    for (const copy of this.#layout.copies) this.#writeCopy(copy);
  }

  #full(of: string): BangerError {
    return new BangerError(
      'tool_failed',
      `${oneLine(this.#path)}: a filesystem of its size has too few ${of}`,
      {
        hints: ['give it a larger one: --size'],
      },
    );
  }

  #read(position: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let filled = 0; filled < length; ) {
      const count = readSync(this.#file, bytes, filled, length - filled, position + filled);
      if (count === 0)
        throw new BangerError('corrupt', `${oneLine(this.#path)} became shorter while it was read`);
      filled += count;
    }
    return bytes;
  }

  #write(position: number, bytes: Buffer): void {
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(this.#file, bytes, written, bytes.length - written, position + written);
    }
  }

  #groupOf(inode: number): Group {
    const group = this.#groups[Math.floor((inode - 1) / this.#layout.inodesPerGroup)];
    if (group === undefined) throw new Error(`there is no inode ${inode}`);
    return group;
  }

  #readGroup(index: number): Group {
    const { firstBlock, blocksPerGroup, blockCount } = this.#layout;
    const at = index * WIDE_DESCRIPTOR_BYTES;
    const descriptor = this.#descriptors.subarray(at, at + WIDE_DESCRIPTOR_BYTES);
    const wide = (low: number, high: number): number =>
      descriptor.readUInt32LE(low) + descriptor.readUInt32LE(high) * 2 ** 32;
    const first = firstBlock + index * blocksPerGroup;
    return {
      first,
      count: Math.min(blocksPerGroup, blockCount - first),
      descriptor,
      blockBitmap: wide(0x0, 0x20),
      inodeBitmap: wide(0x4, 0x24),
      table: wide(0x8, 0x28),
      inodes: new Set(index === 0 ? Array.from({ length: LOST_AND_FOUND - 1 }, (_, number) => number) : []),
      directories: 0,
    };
  }

  /** Marks what mke2fs has put there. */
  #useGroup(index: number, { first, count, descriptor, blockBitmap, inodeBitmap, table }: Group): void {
    const { copies, descriptorBlocks, reservedBlocks, inodesPerGroup } = this.#layout;
    const { blockSize } = this;
    // Where no bitmap was written, what is in use is what each group of that shape has.
    if (copies.includes(index)) this.#blocks.use({ first, count: 1 + descriptorBlocks + reservedBlocks });
    for (const bitmap of [blockBitmap, inodeBitmap]) this.#blocks.use({ first: bitmap, count: 1 });
    this.#blocks.use({ first: table, count: Math.ceil((inodesPerGroup * INODE_BYTES) / blockSize) });
    if ((descriptor.readUInt16LE(0x12) & BLOCKS_UNINITIALIZED) !== 0) return;
    const bits = this.#read(blockBitmap * blockSize, blockSize);
    for (let at = 0; at < count; at += 1) {
      if ((bits.readUInt8(at >>> 3) & (1 << (at & 7))) !== 0)
        this.#blocks.use({ first: first + at, count: 1 });
    }
  }

  #dateOwnInode(number: number, seconds: number): void {
    const at = this.#groupOf(number).table * this.blockSize + (number - 1) * INODE_BYTES;
    const bytes = this.#read(at, INODE_BYTES);
    if (bytes.every((byte) => byte === 0)) return;
    setTimes(bytes, { seconds, nanoseconds: 0 });
    setInodeChecksum(bytes, number, this.seed);
    this.#write(at, bytes);
  }

  #finishGroup(index: number, group: Group): { blocks: number; inodes: number } {
    const { descriptor, inodes, directories } = group;
    const { inodesPerGroup } = this.#layout;
    const freeBlocks = this.#finishBlocks(group);
    const freeInodes = inodesPerGroup - inodes.size;
    this.#finishInodes(group);
    const untouched = inodesPerGroup - 1 - [...inodes].reduce((most, one) => Math.max(most, one), -1);
    for (const [value, low, high] of [
      [freeBlocks, 0xc, 0x2c],
      [freeInodes, 0xe, 0x2e],
      [directories, 0x10, 0x30],
      [untouched, 0x1c, 0x32],
    ] as const) {
      descriptor.writeUInt16LE(value % 65536, low);
      descriptor.writeUInt16LE(Math.floor(value / 65536), high);
    }
    descriptor.writeUInt16LE(0, 0x1e);
    const checksum = crc32c(crc32cOfNumber(this.seed, index), descriptor);
    descriptor.writeUInt16LE(checksum % 65536, 0x1e);
    return { blocks: freeBlocks, inodes: freeInodes };
  }

  /** @returns how many are free */
  #finishBlocks({ first, count, descriptor, blockBitmap }: Group): number {
    const bits = Buffer.alloc(this.blockSize, 0xff);
    let free = 0;
    for (let at = 0; at < count; at += 1) {
      if (this.#blocks.isUsed(first + at)) continue;
      free += 1;
      bits.writeUInt8(bits.readUInt8(at >>> 3) & ~(1 << (at & 7)), at >>> 3);
    }
    const flags = descriptor.readUInt16LE(0x12);
    const wasFree = descriptor.readUInt16LE(0xc) + descriptor.readUInt16LE(0x2c) * 65536;
    // As mke2fs left it: the kernel makes its bitmap up.
    if ((flags & BLOCKS_UNINITIALIZED) !== 0 && free === wasFree) return free;
    this.writeBlocks(blockBitmap, bits);
    descriptor.writeUInt16LE(flags & ~BLOCKS_UNINITIALIZED, 0x12);
    const checksum = crc32c(this.seed, bits.subarray(0, this.#layout.blocksPerGroup / 8));
    descriptor.writeUInt16LE(checksum % 65536, 0x18);
    descriptor.writeUInt16LE(Math.floor(checksum / 65536), 0x38);
    return free;
  }

  #finishInodes({ descriptor, inodeBitmap, inodes }: Group): void {
    const { inodesPerGroup } = this.#layout;
    const flags = descriptor.readUInt16LE(0x12);
    if (inodes.size === 0 && (flags & INODES_UNINITIALIZED) !== 0) return;
    const bits = Buffer.alloc(this.blockSize, 0xff);
    bits.fill(0, 0, inodesPerGroup / 8);
    for (const index of inodes)
      bits.writeUInt8(bits.readUInt8(index >>> 3) | (1 << (index & 7)), index >>> 3);
    this.writeBlocks(inodeBitmap, bits);
    descriptor.writeUInt16LE(flags & ~INODES_UNINITIALIZED, 0x12);
    const checksum = crc32c(this.seed, bits.subarray(0, inodesPerGroup / 8));
    descriptor.writeUInt16LE(checksum % 65536, 0x1a);
    descriptor.writeUInt16LE(Math.floor(checksum / 65536), 0x3a);
  }

  #writeCopy(group: number): void {
    const { firstBlock, blocksPerGroup } = this.#layout;
    const block = firstBlock + group * blocksPerGroup;
    this.#superblock.writeUInt16LE(group, 0x5a);
    setSuperblockChecksum(this.#superblock);
    this.#write(group === 0 ? SUPERBLOCK_OFFSET : block * this.blockSize, this.#superblock);
    this.#write((block + 1) * this.blockSize, this.#descriptors);
  }
}
