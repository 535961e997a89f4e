import type { FileType, Timestamp } from '../ext4/inode.ts';
import { crc32c, crc32cOfNumber } from './checksum.ts';

// Inodes as they are written: Linux, Documentation/filesystems/ext4/inodes.rst.

/** Of each inode of a filesystem of ours, in bytes. */
export const INODE_BYTES = 256;
/** Up to i_projid: what e2fsprogs and the kernel give new inodes. */
const EXTRA_BYTES = 32;
/** Where what follows the fields begins. */
export const TAIL_AT = 128 + EXTRA_BYTES;

const TYPE_BITS: Readonly<Record<FileType, number>> = {
  fifo: 0x1000,
  char: 0x2000,
  directory: 0x4000,
  block: 0x6000,
  file: 0x8000,
  symlink: 0xa000,
  socket: 0xc000,
};
/** What i_blocks counts in. */
const SECTOR = 512;

export interface NewInode {
  number: number;
  type: FileType;
  /** 07777 at most. */
  mode: number;
  uid: number;
  gid: number;
  links: number;
  /** Bytes. */
  size: number;
  flags: number;
  time: Timestamp;
  /** i_block: 60 bytes at most. */
  map: Buffer;
  /** What it has on the disk beside itself, in bytes. */
  allocated: number;
  /** The block of its extended attributes, or 0. */
  attributeBlock: number;
  /** What follows the fields. */
  tail: Buffer;
}

/** Its bytes in the table; all its times are one. */
export function encodeInode(inode: NewInode, seed: number): Buffer {
  const bytes = Buffer.alloc(INODE_BYTES);
  const sectors = inode.allocated / SECTOR;
  bytes.writeUInt16LE(TYPE_BITS[inode.type] | inode.mode, 0);
  bytes.writeUInt16LE(inode.uid % 65536, 0x2);
  bytes.writeUInt32LE(inode.size % 2 ** 32, 0x4);
  bytes.writeUInt16LE(inode.gid % 65536, 0x18);
  bytes.writeUInt16LE(inode.links, 0x1a);
  bytes.writeUInt32LE(sectors % 2 ** 32, 0x1c);
  bytes.writeUInt32LE(inode.flags, 0x20);
  inode.map.copy(bytes, 0x28);
  bytes.writeUInt32LE(inode.attributeBlock % 2 ** 32, 0x68);
  bytes.writeUInt32LE(Math.floor(inode.size / 2 ** 32), 0x6c);
  bytes.writeUInt16LE(Math.floor(sectors / 2 ** 32), 0x74);
  bytes.writeUInt16LE(Math.floor(inode.attributeBlock / 2 ** 32), 0x76);
  bytes.writeUInt16LE(Math.floor(inode.uid / 65536), 0x78);
  bytes.writeUInt16LE(Math.floor(inode.gid / 65536), 0x7a);
  bytes.writeUInt16LE(EXTRA_BYTES, 0x80);
  inode.tail.copy(bytes, TAIL_AT);
  setTimes(bytes, inode.time);
  setInodeChecksum(bytes, inode.number, seed);
  return bytes;
}

/** How much of an inode is fields, in bytes: mke2fs gives its own inodes fewer than others. */
function fieldsEnd(bytes: Buffer): number {
  return 128 + bytes.readUInt16LE(0x80);
}

/** Sets all times that an inode has fields for: of its last change, of content, of reading, and of its making. */
export function setTimes(bytes: Buffer, { seconds, nanoseconds }: Timestamp): void {
  // Signed, with two more bits beside the nanoseconds.
  const low = seconds | 0;
  const extra = (nanoseconds * 4 + (((seconds - low) / 2 ** 32) & 3)) >>> 0;
  const end = fieldsEnd(bytes);
  for (const at of [0x8, 0xc, 0x10, 0x90]) if (at < end) bytes.writeInt32LE(low, at);
  for (const at of [0x84, 0x88, 0x8c, 0x94]) if (at < end) bytes.writeUInt32LE(extra, at);
}

/** What the checksums of an inode and of its blocks begin with: its number, and its generation, which is 0. */
export function inodeSeed(number: number, seed: number): number {
  return crc32cOfNumber(crc32cOfNumber(seed, number), 0);
}

export function setInodeChecksum(bytes: Buffer, number: number, seed: number): void {
  const isWide = fieldsEnd(bytes) > 0x82;
  bytes.writeUInt16LE(0, 0x7c);
  if (isWide) bytes.writeUInt16LE(0, 0x82);
  const generation = bytes.readUInt32LE(0x64);
  const checksum = crc32c(crc32cOfNumber(crc32cOfNumber(seed, number), generation), bytes);
  bytes.writeUInt16LE(checksum % 65536, 0x7c);
  if (isWide) bytes.writeUInt16LE(Math.floor(checksum / 65536), 0x82);
}
