import { BangerError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { INLINE_DATA, ownAttribute } from './attributes.ts';
import { PIECE_BYTES, type Piece, piecesOfBlocks, readStart } from './block-content.ts';
import { ENCRYPTED_FLAG, INLINE_DATA_FLAG, type Inode } from './inode.ts';
import type { Volume } from './volume.ts';

/** What content an inode holds itself (inline_data): in the place of its map, and behind that in an attribute. */
export function inlineContent(volume: Volume, inode: Inode): { head: Buffer; rest: Buffer } {
  return { head: inode.blocks, rest: ownAttribute(volume, inode, INLINE_DATA) ?? Buffer.alloc(0) };
}

/** What is behind it is zeros: mke2fs leaves a large file of them inline. */
function startOfInline(volume: Volume, inode: Inode, length: number): Buffer {
  const start = Buffer.alloc(Math.min(length, inode.size));
  const { head, rest } = inlineContent(volume, inode);
  Buffer.concat([head, rest]).copy(start);
  return start;
}

/** @throws BangerError `preflight_failed` when the content is encrypted */
export function assertReadable(volume: Volume, inode: Inode): void {
  if ((inode.flags & ENCRYPTED_FLAG) === 0) return;
  throw new BangerError('preflight_failed', `${oneLine(volume.path)}: inode ${inode.number} is encrypted`);
}

/**
 * The content of a file (or a long symbolic link) without what is zeros: see piecesOfBlocks.
 * @throws BangerError `corrupt`, or `preflight_failed` when it is encrypted
 */
export function* piecesOf(volume: Volume, inode: Inode): Generator<Piece> {
  assertReadable(volume, inode);
  if ((inode.flags & INLINE_DATA_FLAG) === 0) {
    yield* piecesOfBlocks(volume, inode);
    return;
  }
  const bytes = startOfInline(volume, inode, PIECE_BYTES);
  if (bytes.some((byte) => byte !== 0)) yield { position: 0, bytes };
}

/** The first bytes of a file's content, all of it when it has no more. */
export function readContent(volume: Volume, inode: Inode, length: number): Buffer {
  assertReadable(volume, inode);
  if ((inode.flags & INLINE_DATA_FLAG) === 0) return readStart(volume, inode, length);
  return startOfInline(volume, inode, length);
}
