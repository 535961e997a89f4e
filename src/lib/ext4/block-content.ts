import type { Inode } from './inode.ts';
import { runsOf } from './runs.ts';
import type { Volume } from './volume.ts';

/** Content is looked at in pieces of so many bytes, counted from a file's beginning. */
export const PIECE_BYTES = 128 * 1024;
const NOTHING = Buffer.alloc(PIECE_BYTES);

/** A part of a file's content; between them is nothing but zeros. */
export interface Piece {
  /** A multiple of PIECE_BYTES. */
  position: number;
  /** PIECE_BYTES of them, fewer at the file's end. */
  bytes: Buffer;
}

/**
 * The content of a file that lies in blocks, without the pieces that are all zeros, whether these are holes or were
 * written: the same pieces for the same content, and no time spent on what is not there.
 * @throws BangerError `corrupt`
 */
export function* piecesOfBlocks(volume: Volume, inode: Inode): Generator<Piece> {
  let open: Piece | null = null;
  for (const piece of partsOf(volume, inode)) {
    const position = piece.position - (piece.position % PIECE_BYTES);
    if (open !== null && open.position !== position) {
      if (!isNothing(open.bytes)) yield open;
      open = null;
    }
    const length = Math.min(PIECE_BYTES, inode.size - position);
    if (piece.bytes.length === length) {
      if (!isNothing(piece.bytes)) yield piece;
      continue;
    }
    open ??= { position, bytes: Buffer.alloc(length) };
    piece.bytes.copy(open.bytes, piece.position - position);
  }
  if (open !== null && !isNothing(open.bytes)) yield open;
}

/** What was written, cut where pieces begin, and at the file's end. */
function* partsOf(volume: Volume, inode: Inode): Generator<Piece> {
  const { blockSize } = volume.geometry;
  const perPiece = PIECE_BYTES / blockSize;
  for (const { logical, physical, count } of runsOf(volume, inode)) {
    for (let done = 0; done < count; ) {
      const untilNext = perPiece - ((logical + done) % perPiece);
      const blocks = Math.min(untilNext, count - done);
      const position = (logical + done) * blockSize;
      volume.spend(blocks);
      const bytes = volume.readBlocks(physical + done, blocks);
      yield { position, bytes: bytes.subarray(0, inode.size - position) };
      done += blocks;
    }
  }
}

function isNothing(bytes: Buffer): boolean {
  return bytes.equals(NOTHING.subarray(0, bytes.length));
}

/** The first bytes of a file that lies in blocks, all of it when it has no more. */
export function readStart(volume: Volume, inode: Inode, length: number): Buffer {
  const start = Buffer.alloc(Math.min(length, inode.size));
  for (const { position, bytes } of piecesOfBlocks(volume, inode)) {
    if (position >= start.length) break;
    bytes.copy(start, position);
  }
  return start;
}
