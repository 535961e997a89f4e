import { BangerError } from '../errors.ts';
import { parseSuperblock, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET } from '../system/superblock.ts';
import type { InodeFormat } from './inode.ts';

// Where things lie in an ext2, ext3 or ext4 filesystem. Offsets and flags: Linux,
// Documentation/filesystems/ext4/{super,group_descr,blockgroup}.rst.

const META_BG = 0x10;
const SIXTY_FOUR_BIT = 0x80;
const LARGE_DIR = 0x4000;
const SPARSE_SUPER2 = 0x200;
const SPARSE_SUPER = 0x1;
/** uninit_bg or metadata_csum: group descriptors say how much of their table was never used. */
const COUNTS_UNUSED = 0x410;
const OLD_DESCRIPTOR_BYTES = 32;
const WIDE_DESCRIPTOR_BYTES = 64;
/** Special inodes of the first revision (special_inodes.rst). */
const OLD_FIRST_INODE = 11;

export interface Geometry extends InodeFormat {
  /** Bytes. */
  blockSize: number;
  blockCount: number;
  inodeCount: number;
  inodesPerGroup: number;
  /** Bytes. */
  inodeSize: number;
  /** From here on inodes are files; those before, but for the root, are the filesystem's own. */
  firstInode: number;
  groupCount: number;
  /** Bytes. */
  descriptorSize: number;
  countsUnusedInodes: boolean;
  /** The journal holds writes that are not in their places yet. */
  needsRecovery: boolean;
  /** The block that holds the n-th block of group descriptors. */
  descriptorBlock(index: number): number;
}

/** Whether a group begins with a copy of the superblock (blockgroup.rst, sparse_super and sparse_super2). */
export function hasSuperblock(group: number, bytes: Buffer): boolean {
  if (group === 0) return true;
  if ((bytes.readUInt32LE(0x5c) & SPARSE_SUPER2) !== 0) {
    return group === bytes.readUInt32LE(0x24c) || group === bytes.readUInt32LE(0x250);
  }
  if (group === 1 || (bytes.readUInt32LE(0x64) & SPARSE_SUPER) === 0) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

/** As the kernel's descriptor_loc (fs/ext4/super.c) has it. */
function descriptorBlockOf(bytes: Buffer, blockSize: number, descriptorsPerBlock: number) {
  const firstDataBlock = bytes.readUInt32LE(0x14);
  const blocksPerGroup = bytes.readUInt32LE(0x20);
  const spreadFrom =
    (bytes.readUInt32LE(0x60) & META_BG) === 0 ? Number.POSITIVE_INFINITY : bytes.readUInt32LE(0x104);
  const superblockBlock = Math.floor(SUPERBLOCK_OFFSET / blockSize);
  return (index: number): number => {
    if (index < spreadFrom) return superblockBlock + 1 + index;
    const group = index * descriptorsPerBlock;
    // Blocks of 1 KiB whose numbers begin at 0 (bigalloc): the superblock is the second one.
    const skipped = index === 0 && firstDataBlock < superblockBlock ? 1 : 0;
    return firstDataBlock + group * blocksPerGroup + (hasSuperblock(group, bytes) ? 1 : 0) + skipped;
  };
}

/** What stands in the way of reading files, though mounting might be possible with a newer kernel. */
function unreadableFeature(features: readonly string[]): string | undefined {
  return features.find((name) => /^(?:compression|dirdata|incompat:.*)$/u.test(name));
}

/**
 * Reads it from the first bytes of an image.
 * @param head as many bytes from the file's beginning as there are up to the end of the superblock
 * @throws BangerError `corrupt`, or `preflight_failed` for features that are not read here
 */
export function readGeometry(head: Buffer, path: string): Geometry {
  const bytes = head.subarray(SUPERBLOCK_OFFSET, SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES);
  const parsed = parseSuperblock(bytes);
  if (parsed.kind !== 'valid') {
    const why = parsed.kind === 'damaged' ? `: ${parsed.reason}` : '';
    throw new BangerError('corrupt', `${path} holds no usable ext4 filesystem${why}`);
  }
  const { blockSize, blockCount, inodeCount, features, needsRecovery } = parsed.superblock;
  const unreadable = unreadableFeature(features);
  if (unreadable !== undefined) {
    throw new BangerError(
      'preflight_failed',
      `${path}: its filesystem has ${unreadable}, which is not read here`,
    );
  }
  const isWide = (bytes.readUInt32LE(0x60) & SIXTY_FOUR_BIT) !== 0;
  const descriptorSize = isWide ? bytes.readUInt16LE(0xfe) : OLD_DESCRIPTOR_BYTES;
  const isPower = (descriptorSize & (descriptorSize - 1)) === 0;
  if (isWide && (descriptorSize < WIDE_DESCRIPTOR_BYTES || descriptorSize > blockSize || !isPower)) {
    throw new BangerError('corrupt', `${path}: it claims group descriptors of ${descriptorSize} bytes`);
  }
  const isOld = bytes.readUInt32LE(0x4c) === 0;
  return {
    blockSize,
    blockCount,
    inodeCount,
    inodesPerGroup: bytes.readUInt32LE(0x28),
    inodeSize: isOld ? 128 : bytes.readUInt16LE(0x58),
    firstInode: isOld ? OLD_FIRST_INODE : bytes.readUInt32LE(0x54),
    groupCount: Math.ceil((blockCount - bytes.readUInt32LE(0x14)) / bytes.readUInt32LE(0x20)),
    descriptorSize,
    isWide,
    hasLargeDirectories: (bytes.readUInt32LE(0x60) & LARGE_DIR) !== 0,
    countsUnusedInodes: (bytes.readUInt32LE(0x64) & COUNTS_UNUSED) !== 0,
    needsRecovery,
    descriptorBlock: descriptorBlockOf(bytes, blockSize, blockSize / descriptorSize),
  };
}
