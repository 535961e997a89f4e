import { BangerError } from '../errors.ts';
import { formatBytes, oneLine } from '../text.ts';
import { openRegular } from './regular-file.ts';

// Offsets, flags and limits: Linux, Documentation/filesystems/ext4/super.rst; feature names: e2fsprogs, lib/e2p/feature.c.

/** Where the superblock lies, whatever the block size, and how long it is; both in bytes. */
export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_BYTES = 1024;

const MAGIC = 0xef53;
const STATE_CLEAN = 0x1;
const STATE_ERRORS = 0x2;
/** 64 KiB, the largest page that Linux runs with. */
const MAX_LOG_BLOCK_SIZE = 6;

const HAS_JOURNAL = 0x4;
const NEEDS_RECOVERY = 0x4;
const JOURNAL_DEVICE = 0x8;
const EXTENTS = 0x40;
const SIXTY_FOUR_BIT = 0x80;
const BIGALLOC = 0x200;

const COMPATIBLE: Readonly<Record<number, string>> = {
  1: 'dir_prealloc',
  2: 'imagic_inodes',
  4: 'has_journal',
  8: 'ext_attr',
  16: 'resize_inode',
  32: 'dir_index',
  512: 'sparse_super2',
  1024: 'fast_commit',
  2048: 'stable_inodes',
  4096: 'orphan_file',
};
const INCOMPATIBLE: Readonly<Record<number, string>> = {
  1: 'compression',
  2: 'filetype',
  4: 'needs_recovery',
  8: 'journal_dev',
  16: 'meta_bg',
  64: 'extent',
  128: '64bit',
  256: 'mmp',
  512: 'flex_bg',
  1024: 'ea_inode',
  4096: 'dirdata',
  8192: 'metadata_csum_seed',
  16384: 'large_dir',
  32768: 'inline_data',
  65536: 'encrypt',
  131072: 'casefold',
};
const READ_ONLY_COMPATIBLE: Readonly<Record<number, string>> = {
  1: 'sparse_super',
  2: 'large_file',
  8: 'huge_file',
  16: 'uninit_bg',
  32: 'dir_nlink',
  64: 'extra_isize',
  256: 'quota',
  512: 'bigalloc',
  1024: 'metadata_csum',
  4096: 'read-only',
  8192: 'project',
  16384: 'shared_blocks',
  32768: 'verity',
  65536: 'orphan_present',
};

export interface Superblock {
  /** ext4 when it has extents, ext3 when only a journal, ext2 when neither. */
  generation: 'ext2' | 'ext3' | 'ext4';
  /** Bytes; so are `sizeBytes` and `freeBytes`. */
  blockSize: number;
  blockCount: number;
  freeBlocks: number;
  inodeCount: number;
  freeInodes: number;
  sizeBytes: number;
  freeBytes: number;
  uuid: string;
  /** Safe to print; empty when there is none. */
  label: string;
  /** `errors`: the kernel met some; `unclean`: an ext2 that was not unmounted. */
  state: 'clean' | 'unclean' | 'errors';
  /** The journal holds writes that the filesystem does not have yet: debugfs would not see them. */
  needsRecovery: boolean;
  /** As `dumpe2fs -h` names them; an unknown one as `incompat:0x…`. */
  features: readonly string[];
}

export type ParsedSuperblock =
  | { kind: 'valid'; superblock: Superblock }
  | { kind: 'absent' }
  | { kind: 'damaged'; reason: string };

function featureNames(
  bits: number,
  names: Readonly<Record<number, string>>,
  set: 'compat' | 'incompat' | 'ro_compat',
): string[] {
  const found: string[] = [];
  for (let position = 0; position < 32; position += 1) {
    const bit = (1 << position) >>> 0;
    if ((bits & bit) !== 0) found.push(names[bit] ?? `${set}:0x${bit.toString(16)}`);
  }
  return found;
}

function formatUuid(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5');
}

function readLabel(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return oneLine(bytes.toString('utf8', 0, end < 0 ? bytes.length : end));
}

function readState(state: number): Superblock['state'] {
  if ((state & STATE_ERRORS) !== 0) return 'errors';
  return (state & STATE_CLEAN) !== 0 ? 'clean' : 'unclean';
}

/** What is wrong with a layout whose block size and count are believable, or undefined: the kernel's own mount checks. */
function layoutFault(bytes: Buffer, blockSize: number, blockCount: number): string | undefined {
  const firstDataBlock = bytes.readUInt32LE(0x14);
  const logClusterSize = bytes.readUInt32LE(0x1c);
  const blocksPerGroup = bytes.readUInt32LE(0x20);
  const inodesPerGroup = bytes.readUInt32LE(0x28);
  const inodeCount = bytes.readUInt32LE(0x0);
  const inodeSize = bytes.readUInt32LE(0x4c) === 0 ? 128 : bytes.readUInt16LE(0x58);
  const hasBigalloc = (bytes.readUInt32LE(0x64) & BIGALLOC) !== 0;
  if (hasBigalloc && logClusterSize > 29) return `its cluster size is 2^${10 + logClusterSize} bytes`;
  const clusterSize = hasBigalloc ? 1024 * 2 ** logClusterSize : blockSize;
  if (clusterSize < blockSize) return 'its clusters are smaller than its blocks';
  // A group is as large as one block of bitmap can describe.
  if (blocksPerGroup === 0 || blocksPerGroup > 8 * blockSize * (clusterSize / blockSize)) {
    return `it claims ${blocksPerGroup} blocks in a group`;
  }
  if (inodesPerGroup === 0 || inodesPerGroup > 8 * blockSize) {
    return `it claims ${inodesPerGroup} inodes in a group`;
  }
  if (inodeSize < 128 || inodeSize > blockSize || (inodeSize & (inodeSize - 1)) !== 0) {
    return `it claims inodes of ${inodeSize} bytes`;
  }
  if (firstDataBlock > 1 || firstDataBlock >= blockCount) return `its first block is ${firstDataBlock}`;
  const groups = Math.ceil((blockCount - firstDataBlock) / blocksPerGroup);
  if (groups * inodesPerGroup !== inodeCount) {
    return `it claims ${inodeCount} inodes where its ${groups} groups hold ${groups * inodesPerGroup}`;
  }
  if (bytes.readUInt32LE(0x10) > inodeCount) return 'it claims more free inodes than it has';
  return undefined;
}

/**
 * Reads an ext2, ext3 or ext4 superblock from the bytes that begin at SUPERBLOCK_OFFSET. Believes nothing: each value is
 * checked before it is used, as a mount would. Does not verify the checksum; e2fsck does.
 */
export function parseSuperblock(bytes: Buffer): ParsedSuperblock {
  if (bytes.length < SUPERBLOCK_BYTES || bytes.readUInt16LE(0x38) !== MAGIC) return { kind: 'absent' };
  const damaged = (reason: string): ParsedSuperblock => ({ kind: 'damaged', reason });
  const compatible = bytes.readUInt32LE(0x5c);
  const incompatible = bytes.readUInt32LE(0x60);
  const readOnlyCompatible = bytes.readUInt32LE(0x64);
  if ((incompatible & JOURNAL_DEVICE) !== 0) return damaged('it is an external journal, not a filesystem');
  if (bytes.readUInt32LE(0x4c) > 1) return damaged(`its revision is ${bytes.readUInt32LE(0x4c)}`);

  const logBlockSize = bytes.readUInt32LE(0x18);
  if (logBlockSize > MAX_LOG_BLOCK_SIZE) return damaged(`its block size is 2^${10 + logBlockSize} bytes`);
  const blockSize = 1024 * 2 ** logBlockSize;
  const wide = (offset: number, highOffset: number): bigint => {
    const high = (incompatible & SIXTY_FOUR_BIT) === 0 ? 0 : bytes.readUInt32LE(highOffset);
    return (BigInt(high) << 32n) | BigInt(bytes.readUInt32LE(offset));
  };
  const blocks = wide(0x4, 0x150);
  const free = wide(0xc, 0x158);
  if (blocks === 0n) return damaged('it claims no blocks');
  if (blocks * BigInt(blockSize) > BigInt(Number.MAX_SAFE_INTEGER)) {
    return damaged(`it claims ${blocks} blocks of ${formatBytes(blockSize)}, more than 8 PiB`);
  }
  if (free > blocks) return damaged('it claims more free blocks than it has');
  const blockCount = Number(blocks);
  const fault = layoutFault(bytes, blockSize, blockCount);
  if (fault !== undefined) return damaged(fault);

  const older = (compatible & HAS_JOURNAL) === 0 ? 'ext2' : 'ext3';
  return {
    kind: 'valid',
    superblock: {
      generation: (incompatible & EXTENTS) === 0 ? older : 'ext4',
      blockSize,
      blockCount,
      freeBlocks: Number(free),
      inodeCount: bytes.readUInt32LE(0x0),
      freeInodes: bytes.readUInt32LE(0x10),
      sizeBytes: blockCount * blockSize,
      freeBytes: Number(free) * blockSize,
      uuid: formatUuid(bytes.subarray(0x68, 0x78)),
      label: readLabel(bytes.subarray(0x78, 0x88)),
      state: readState(bytes.readUInt16LE(0x3a)),
      needsRecovery: (incompatible & NEEDS_RECOVERY) !== 0,
      features: [
        ...featureNames(compatible, COMPATIBLE, 'compat'),
        ...featureNames(incompatible, INCOMPATIBLE, 'incompat'),
        ...featureNames(readOnlyCompatible, READ_ONLY_COMPATIBLE, 'ro_compat'),
      ],
    },
  };
}

/**
 * The superblock of an ext2, ext3 or ext4 image file.
 * @throws BangerError `preflight_failed` when it is no readable regular file; `corrupt` when it has no such superblock,
 * a damaged one, or one that claims more than the file holds.
 */
export function readSuperblock(path: string): Superblock {
  const file = openRegular(path);
  try {
    const parsed = parseSuperblock(file.readAt(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES));
    if (parsed.kind === 'absent') {
      throw new BangerError('corrupt', `${path} holds no ext4 filesystem`);
    }
    if (parsed.kind === 'damaged') {
      throw new BangerError('corrupt', `${path}: its ext4 superblock is not usable: ${parsed.reason}`);
    }
    const { superblock } = parsed;
    if (superblock.sizeBytes > file.size) {
      const sizes = `${formatBytes(superblock.sizeBytes)}, the file holds ${formatBytes(file.size)}`;
      throw new BangerError('corrupt', `${path} is truncated: its filesystem has ${sizes}`);
    }
    return superblock;
  } finally {
    file.close();
  }
}
