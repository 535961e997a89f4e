import type { FileType } from '../ext4/inode.ts';
import { crc32c } from './checksum.ts';

// Directories as they are written: Linux, Documentation/filesystems/ext4/directory.rst, Linear Directories.

const TYPES: Readonly<Record<FileType, number>> = {
  file: 1,
  directory: 2,
  char: 3,
  block: 4,
  fifo: 5,
  socket: 6,
  symlink: 7,
};
const HEADER_BYTES = 8;
/** What looks like an entry at the end of each block, and has its checksum. */
const TAIL_BYTES = 12;
const TAIL_TYPE = 0xde;

export interface DirectoryEntry {
  name: Buffer;
  number: number;
  type: FileType;
}

/** The blocks of a directory, its entries in the order given. */
export function encodeDirectory(
  entries: Iterable<DirectoryEntry>,
  { blockSize, seed }: { blockSize: number; seed: number },
): Buffer[] {
  const blocks: Buffer[] = [];
  const end = blockSize - TAIL_BYTES;
  let block = Buffer.alloc(blockSize);
  let [at, last] = [0, 0];
  const finish = (): void => {
    // The last entry has all that is left.
    block.writeUInt16LE(end - last, last + 4);
    block.writeUInt16LE(TAIL_BYTES, end + 4);
    block.writeUInt8(TAIL_TYPE, end + 7);
    block.writeUInt32LE(crc32c(seed, block.subarray(0, end)), end + 8);
    blocks.push(block);
  };
  for (const { name, number, type } of entries) {
    const length = Math.ceil((HEADER_BYTES + name.length) / 4) * 4;
    if (at + length > end) {
      finish();
      block = Buffer.alloc(blockSize);
      at = 0;
    }
    block.writeUInt32LE(number, at);
    block.writeUInt16LE(length, at + 4);
    block.writeUInt8(name.length, at + 6);
    block.writeUInt8(TYPES[type], at + 7);
    name.copy(block, at + HEADER_BYTES);
    last = at;
    at += length;
  }
  finish();
  return blocks;
}

/** A block of a directory with nothing in it. */
export function emptyDirectoryBlock(ground: { blockSize: number; seed: number }): Buffer {
  const [block] = encodeDirectory([], ground);
  if (block === undefined) throw new Error('a directory has a block');
  return block;
}
