import { createHash } from 'node:crypto';
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { fsPath } from './file-name.ts';

/** How much is read at a time, in bytes. */
const BLOCK_BYTES = 1024 * 1024;

export interface DigestOptions {
  /** Whether what is open is the file that is meant, and is still as it was: asked before and after it is read. */
  isExpected(stats: BigIntStats): boolean;
  /** Awaited between blocks. */
  rest(): Promise<void> | null;
}

/**
 * The SHA-256 of a regular file, in hex; null when it is another one than expected, or changed while it was read. By
 * synchronous calls: for small files each trip to another thread takes longer than reading them. Never waits for a FIFO
 * or a terminal that has taken the file's place.
 */
export async function digestFile(path: string, { isExpected, rest }: DigestOptions): Promise<string | null> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  const file = openSync(fsPath(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  try {
    const before = fstatSync(file, { bigint: true });
    if (!before.isFile() || !isExpected(before)) return null;
    const hash = createHash('sha256');
    const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, Number(before.size) + 1));
    let position = 0;
    for (;;) {
      const count = readSync(file, block, 0, block.length, position);
      if (count === 0) break;
      position += count;
      // One that grows as fast as it is read would never end.
      if (position > before.size) return null;
      hash.update(block.subarray(0, count));
      await rest();
    }
    return isExpected(fstatSync(file, { bigint: true })) ? hash.digest('hex') : null;
  } finally {
    closeSync(file);
  }
}
