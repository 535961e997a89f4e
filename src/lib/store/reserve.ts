import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { isOutOfSpace } from './errors.ts';

const RESERVE_BYTES = 1024 * 1024;

/**
 * A megabyte kept back beside the database: WAL needs a little space even to read, so on a full disk it is given up,
 * and `list` and `delete` still work. It is made again when there is room.
 */
export class Reserve {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes the reserve where it is missing and there is room for it. */
  fill(): void {
    let file: number;
    try {
      file = openSync(this.#path, 'wx', 0o600);
    } catch (error) {
      if (['EEXIST', 'ENOSPC', 'EDQUOT', 'EROFS', 'EACCES'].includes(errnoOf(error) ?? '')) return;
      throw error;
    }
    try {
      writeSync(file, Buffer.alloc(RESERVE_BYTES));
    } catch (error) {
      if (!['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) throw error;
      unlinkSync(this.#path);
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
