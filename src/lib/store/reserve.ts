import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, statfsSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../errors.ts';
import { isOutOfSpace } from './errors.ts';

const RESERVE_BYTES = 1024 * 1024;
/** It is not made where it would take most of what is left: what it stands for may need that at once. */
const ROOM_BYTES = 8 * RESERVE_BYTES;
const NO_ROOM = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES'];

/**
 * A megabyte kept back beside the database: WAL needs a little space even to read, so on a full disk it is given up,
 * and `list` and `delete` still work. It is made again when there is room.
 */
export class Reserve {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes the reserve where it is missing, or was left half made, and there is room for it. */
  fill(): void {
    if ((statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0) >= RESERVE_BYTES) return;
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    if (bavail * bsize < ROOM_BYTES) return;
    try {
      if (!this.#write()) this.#giveUp();
    } catch (error) {
      if (!NO_ROOM.includes(errnoOf(error) ?? '')) throw error;
      this.#giveUp();
    }
  }

  /** False when only a part could be written. */
  #write(): boolean {
    const file = openSync(this.#path, 'w', 0o600);
    try {
      // Not zeros: a filesystem that compresses would keep back next to nothing.
      return writeSync(file, randomFillSync(Buffer.allocUnsafe(RESERVE_BYTES))) === RESERVE_BYTES;
    } finally {
      closeSync(file);
    }
  }

  /** Runs `use`; when that fails for want of space, gives the reserve up and runs it once more. */
  retryOnceWithout<T>(use: () => T): T {
    try {
      return use();
    } catch (error) {
      if (!isOutOfSpace(error) || !this.#giveUp()) throw error;
      return use();
    }
  }

  #giveUp(): boolean {
    try {
      unlinkSync(this.#path);
      return true;
    } catch {
      // Already given up, or never made: the first error is the one to tell.
      return false;
    }
  }
}
