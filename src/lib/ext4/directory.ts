import { assertReadable, inlineContent } from './content.ts';
import { INLINE_DATA_FLAG, type Inode } from './inode.ts';
import { runsOf } from './runs.ts';
import type { Volume } from './volume.ts';

// Directories. Linux, Documentation/filesystems/ext4/directory.rst.

export interface DirectoryEntry {
  inode: number;
  /** Any bytes but NUL and `/`. */
  name: Buffer;
}

export const ROOT_INODE = 2;
const ENTRY_BYTES = 8;
/** Where an inline directory's entries begin: its parent's number is in front of them. */
const INLINE_START = 4;
/** The length of an entry that fills a block of 64 KiB, which 16 bits do not hold. */
const FULL_LENGTHS = [0, 0xffff];
const FULL_BYTES = 65536;
const SLASH = 0x2f;

/**
 * A directory's entries in the order in which they lie, `.` and `..` included. Index blocks of a hashed directory look empty,
 * as to an old kernel; so do the checksums.
 * @throws BangerError `corrupt`, or `preflight_failed` when it is encrypted
 */
export function* directoryEntries(volume: Volume, inode: Inode): Generator<DirectoryEntry> {
  assertReadable(volume, inode);
  if ((inode.flags & INLINE_DATA_FLAG) !== 0) {
    const { head, rest } = inlineContent(volume, inode);
    yield { inode: inode.number, name: Buffer.from('.') };
    yield { inode: head.readUInt32LE(0), name: Buffer.from('..') };
    yield* entriesIn(volume, inode, head.subarray(INLINE_START));
    yield* entriesIn(volume, inode, rest);
    return;
  }
  const { blockSize } = volume.geometry;
  let next = 0;
  for (const { logical, physical, count } of runsOf(volume, inode)) {
    if (logical !== next) break;
    for (; next < logical + count; next += 1) {
      yield* entriesIn(volume, inode, volume.readBlocks(physical + next - logical, 1));
    }
  }
  if (next * blockSize < inode.size) throw volume.damaged(inode, 'is a directory with a hole');
}

function* entriesIn(volume: Volume, inode: Inode, block: Buffer): Generator<DirectoryEntry> {
  for (let at = 0; at < block.length; ) {
    if (at + ENTRY_BYTES > block.length) throw volume.damaged(inode, 'has a broken entry');
    const written = block.readUInt16LE(at + 4);
    const isFull = block.length === FULL_BYTES && FULL_LENGTHS.includes(written);
    const length = isFull ? FULL_BYTES : written;
    const nameLength = block.readUInt8(at + 6);
    const isSound =
      length >= ENTRY_BYTES && at + length <= block.length && ENTRY_BYTES + nameLength <= length;
    if (!isSound) throw volume.damaged(inode, 'has a broken entry');
    const target = block.readUInt32LE(at);
    if (target !== 0) {
      const name = block.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + nameLength);
      // One with a slash would be a path, and lead out of where it is meant to be.
      if (name.length === 0 || name.includes(0) || name.includes(SLASH)) {
        throw volume.damaged(inode, 'has an entry whose name cannot be one');
      }
      yield { inode: target, name };
    }
    at += length;
  }
}
