import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET } from '../system/superblock.ts';
import { CHECKSUM_START, crc32c } from './checksum.ts';

// Offsets: Linux, Documentation/filesystems/ext4/super.rst.

const CHECKSUM_AT = 0x3fc;

/** What a filesystem says of itself that its content does not decide, and that is kept of another one: offset, bytes. */
const KEPT_FIELDS = [
  // s_errors
  [0x3c, 2],
  // s_volume_name
  [0x78, 16],
  // s_default_mount_opts
  [0x100, 4],
  // s_mount_opts
  [0x200, 64],
] as const;
/** s_wtime, s_lastcheck, s_mkfs_time, and where the eight bits above each are. */
const TIMES = [
  [0x30, 0x274],
  [0x40, 0x277],
  [0x108, 0x276],
] as const;
/** s_mtime, s_mnt_count, s_mtime_hi, s_kbytes_written: nobody has mounted it. */
const NEVER_MOUNTED = [
  [0x2c, 4],
  [0x34, 2],
  [0x275, 1],
  [0x178, 8],
] as const;

/** @param like the superblock of a filesystem that is to be told from this one by nothing but its layout */
export function keepFields(superblock: Buffer, like: Buffer): void {
  for (const [at, length] of KEPT_FIELDS) like.copy(superblock, at, at, at + length);
}

/** As of a filesystem that was made at a time, in seconds since 1970, and that nobody has touched since then. */
export function dateSuperblock(superblock: Buffer, epoch: number): void {
  for (const [at, high] of TIMES) {
    superblock.writeUInt32LE(epoch % 2 ** 32, at);
    superblock.writeUInt8(Math.floor(epoch / 2 ** 32), high);
  }
  for (const [at, length] of NEVER_MOUNTED) superblock.fill(0, at, at + length);
}

export function setSuperblockChecksum(superblock: Buffer): void {
  superblock.writeUInt32LE(crc32c(CHECKSUM_START, superblock.subarray(0, CHECKSUM_AT)), CHECKSUM_AT);
}

/** Dates the superblock of an image again, after a tool that wrote the time of day into it. */
export function redateImage(path: string, epoch: number): void {
  const file = openSync(path, 'r+');
  try {
    const superblock = Buffer.alloc(SUPERBLOCK_BYTES);
    readSync(file, superblock, 0, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET);
    dateSuperblock(superblock, epoch);
    setSuperblockChecksum(superblock);
    writeSync(file, superblock, 0, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET);
  } finally {
    closeSync(file);
  }
}
