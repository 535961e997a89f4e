import { closeSync, constants, fstatSync, openSync, read, readSync, type Stats, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { BangerError, errnoOf, messageOf } from '../errors.ts';

const readAsync = promisify(read);

/** A file that is certain to be one; everything is read at explicit positions. */
export interface RegularFile {
  /** Bytes, when it was opened. */
  readonly size: number;
  /** Up to `length` bytes at `position`; fewer at the file's end. */
  readAt(position: number, length: number): Buffer;
  /** Fills `buffer` from `position` without blocking other work; how many bytes came. */
  readInto(buffer: Buffer, position: number): Promise<number>;
  close(): void;
}

function typeOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a FIFO';
  if (stats.isSocket()) return 'a socket';
  if (stats.isBlockDevice()) return 'a block device';
  return 'a character device';
}

function open(path: string): number {
  try {
    // Looked at before it is opened, since merely opening some devices acts on them (a tape rewinds).
    const stats = statSync(path);
    if (!stats.isFile()) {
      throw new BangerError('preflight_failed', `${path} is ${typeOf(stats)}, not a regular file`);
    }
    // O_NONBLOCK: it may have become a FIFO in between, whose open would wait for a writer.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (error instanceof BangerError) throw error;
    const reason = errnoOf(error) === 'ENOENT' ? 'no such file' : messageOf(error);
    throw new BangerError('preflight_failed', `${path}: ${reason}`, { cause: error });
  }
}

/**
 * Opens a file for reading and never waits: symbolic links are followed, whatever is not a regular file is refused.
 * @throws BangerError `preflight_failed` when it is missing, unreadable or no regular file.
 */
export function openRegular(path: string): RegularFile {
  const fd = open(path);
  const stats = fstatSync(fd);
  if (!stats.isFile()) {
    closeSync(fd);
    throw new BangerError('preflight_failed', `${path} is ${typeOf(stats)}, not a regular file`);
  }
  return {
    size: stats.size,
    readAt(position, length) {
      const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, stats.size - position)));
      let filled = 0;
      while (filled < buffer.length) {
        const count = readSync(fd, buffer, filled, buffer.length - filled, position + filled);
        if (count === 0) break;
        filled += count;
      }
      return buffer.subarray(0, filled);
    },
    async readInto(buffer, position) {
      const { bytesRead } = await readAsync(fd, buffer, 0, buffer.length, position);
      return bytesRead;
    },
    close() {
      closeSync(fd);
    },
  };
}

/** Read at a time, in bytes. */
const PIECE_BYTES = 256 * 1024;

/** The content from a position on, in pieces. */
export async function* piecesFrom(
  file: RegularFile,
  start: number,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  for (let position = start; ; ) {
    signal?.throwIfAborted();
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    const count = await file.readInto(piece, position);
    if (count === 0) return;
    position += count;
    yield piece.subarray(0, count);
  }
}
