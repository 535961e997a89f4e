import { BangerError } from '../errors.ts';
import { openRegular, type RegularFile } from '../system/regular-file.ts';
import { SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET } from '../system/superblock.ts';
import { formatBytes, oneLine, shellWord } from '../text.ts';
import { type Geometry, readGeometry } from './geometry.ts';
import { type Inode, parseInode } from './inode.ts';

const INODES_UNINITIALIZED = 0x1;
/** How much of an inode table is read at once, in bytes: names that are looked up together mostly lie together. */
const WINDOW_BYTES = 64 * 1024;
/** How much of the tables is held, in windows. */
const MAX_WINDOWS = 256;

/** How often the blocks of a filesystem may be read as content: as no two files share any, once is usual. */
const MAX_READINGS = 8;

/** One group's part of the inode table. */
export interface GroupTable {
  firstBlock: number;
  /** How many inodes at its beginning were ever used, as the descriptor has it: fuse2fs may be a moment behind. */
  used: number;
}

/**
 * An ext2, ext3 or ext4 image that is read from its file, as it lies there: not what the kernel holds in memory of a
 * mounted one. Nothing in it is believed: block and inode numbers are checked before they are followed, and no count
 * decides alone how long a loop runs or how much memory is taken. Checksums are not verified; e2fsck does that.
 */
export class Volume {
  readonly path: string;
  readonly geometry: Geometry;
  readonly #file: RegularFile;
  readonly #windows = new Map<number, Buffer>();
  #spentBlocks = 0;

  /** @throws BangerError `corrupt`, or `preflight_failed` for a file or features that are not read here */
  constructor(path: string) {
    this.path = path;
    this.#file = openRegular(path);
    try {
      this.geometry = readGeometry(this.#file.readAt(0, SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES), oneLine(path));
      const { blockCount, blockSize } = this.geometry;
      if (blockCount * blockSize > this.#file.size) {
        const sizes = `${formatBytes(blockCount * blockSize)}, the file holds ${formatBytes(this.#file.size)}`;
        throw this.corrupt(`is truncated: its filesystem has ${sizes}`);
      }
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  close(): void {
    this.#file.close();
  }

  corrupt(what: string): BangerError {
    return new BangerError('corrupt', `${oneLine(this.path)} ${what}`, {
      hints: [`e2fsck -fn ${shellWord(this.path)}`],
    });
  }

  /** The error of a damaged inode. */
  damaged({ number }: Pick<Inode, 'number'>, what: string): BangerError {
    return this.corrupt(`is damaged: inode ${number} ${what}`);
  }

  /** @throws BangerError `corrupt` when they are not all there */
  readBlocks(first: number, count: number): Buffer {
    const { blockSize, blockCount } = this.geometry;
    if (first < 1 || first + count > blockCount) {
      throw this.corrupt(`is damaged: it refers to block ${first + count - 1} of ${blockCount}`);
    }
    const bytes = this.#file.readAt(first * blockSize, count * blockSize);
    if (bytes.length < count * blockSize) throw this.corrupt('became shorter while it was read');
    return bytes;
  }

  /**
   * Counts blocks of content that are about to be read: however many files claim the same ones, there is an end.
   * @throws BangerError `corrupt`
   */
  spend(blocks: number): void {
    this.#spentBlocks += blocks;
    if (this.#spentBlocks > MAX_READINGS * this.geometry.blockCount) {
      throw this.corrupt('is damaged: its files have more blocks than it has');
    }
  }

  groupTable(group: number): GroupTable {
    const { descriptorSize, blockSize, descriptorBlock, inodesPerGroup, countsUnusedInodes } = this.geometry;
    const perBlock = blockSize / descriptorSize;
    const block = this.#window(descriptorBlock(Math.floor(group / perBlock)), 1);
    const at = (group % perBlock) * descriptorSize;
    const descriptor = block.subarray(at, at + descriptorSize);
    const high = descriptorSize >= 64;
    const unused = descriptor.readUInt16LE(0x1c) + (high ? descriptor.readUInt16LE(0x32) * 65536 : 0);
    const untouched = (descriptor.readUInt16LE(0x12) & INODES_UNINITIALIZED) !== 0;
    return {
      firstBlock: descriptor.readUInt32LE(0x8) + (high ? descriptor.readUInt32LE(0x28) * 2 ** 32 : 0),
      used: inodesPerGroup - (countsUnusedInodes ? (untouched ? inodesPerGroup : unused) : 0),
    };
  }

  /** @throws BangerError `corrupt` when there is none of that number */
  inode(number: number): Inode {
    const { inodesPerGroup, inodeSize, inodeCount, blockSize } = this.geometry;
    if (number < 1 || number > inodeCount) throw this.corrupt(`is damaged: it has no inode ${number}`);
    const { firstBlock } = this.groupTable(Math.floor((number - 1) / inodesPerGroup));
    const at = ((number - 1) % inodesPerGroup) * inodeSize;
    const tableBlocks = Math.ceil((inodesPerGroup * inodeSize) / blockSize);
    const perWindow = Math.max(1, WINDOW_BYTES / blockSize);
    const first = Math.floor(at / blockSize / perWindow) * perWindow;
    const window = this.#window(firstBlock + first, Math.min(perWindow, tableBlocks - first));
    const offset = at - first * blockSize;
    return parseInode(number, window.subarray(offset, offset + inodeSize), this.geometry);
  }

  /** Blocks of descriptors and inodes, the latest kept. */
  #window(first: number, count: number): Buffer {
    const held = this.#windows.get(first);
    if (held !== undefined && held.length >= count * this.geometry.blockSize) return held;
    const bytes = this.readBlocks(first, count);
    this.#windows.set(first, bytes);
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= MAX_WINDOWS) break;
      this.#windows.delete(oldest);
    }
    return bytes;
  }
}

/**
 * Opens an image for as long as `use` takes.
 * @throws BangerError `corrupt`; `preflight_failed` for what is not read here, such as a journal to be replayed first
 */
export async function withVolume<T>(path: string, use: (volume: Volume) => T | Promise<T>): Promise<T> {
  const volume = new Volume(path);
  try {
    if (volume.geometry.needsRecovery) {
      throw new BangerError(
        'preflight_failed',
        `${oneLine(path)}: its journal must be replayed before it can be read: it is mounted somewhere, or was not unmounted`,
        { hints: ['stop what uses it', `e2fsck -fp ${shellWord(path)}`] },
      );
    }
    return await use(volume);
  } finally {
    volume.close();
  }
}
