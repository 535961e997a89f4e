import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, statfsSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from '../errors.ts';
import { noSpaceLeft } from '../system/room.ts';
import { isOutOfSpace } from './errors.ts';

const RESERVE_BYTES = 1024 * 1024;
/** It is not made where it would take most of what is left: what it stands for may need that at once. */
const ROOM_BYTES = 8 * RESERVE_BYTES;
/** What is less than this may not last for -wal and -shm, in bytes. */
const SHORT_BYTES = RESERVE_BYTES / 4;
const PIECE_BYTES = RESERVE_BYTES / 16;
/** Inodes kept back: for -wal, -shm, a run's own file and the lock's directory, of two commands at a time. */
const RESERVE_INODES = 8;
const SHORT_INODES = RESERVE_INODES / 2;
/** The unit in which SQLite makes its -shm (os_unix.c, unixShmMap). */
const SHM_PAGE_BYTES = 4096;
/** A -shm, and what a transaction of ours writes to the log before it is entered there. */
const SHM_ROOM_BYTES = PIECE_BYTES;
const NO_ROOM = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES'];

/**
 * A megabyte and some inodes kept back beside the database: WAL needs a little of both even to read, so on a full disk
 * they are given up, and `list` and `delete` still work. They are taken back at once: a copy that a command makes
 * between its transactions would use them up, and nothing could be written of its end.
 */
export class Reserve {
  /** The first holds the blocks; the others are empty, an inode each. */
  readonly #paths: readonly string[];
  #isOurs = false;

  constructor(path: string) {
    this.#paths = Array.from({ length: RESERVE_INODES }, (_, index) =>
      index === 0 ? path : `${path}.${index}`,
    );
  }

  /** Makes what is missing of the reserve, or was left half made, where there is room for it. */
  fill(): void {
    const missing = this.#missing();
    if (missing.length === 0) return;
    const { bavail, bsize, files, ffree } = this.#statfs();
    if (bavail * bsize < ROOM_BYTES || (files > 0 && ffree < 2 * RESERVE_INODES)) return;
    if (!this.#make(missing)) this.#giveUp();
  }

  /**
   * Runs `use`, without the reserve when space is short. When it fails for want of space all the same, gives the reserve
   * up and runs it once more.
   * @throws PreflightError where `use` might not fail, but end the process
   */
  retryOnceWithout<T>(use: () => T): T {
    if (this.giveUpWhenShort()) this.#requireBlocks();
    try {
      return use();
    } catch (error) {
      if (!isOutOfSpace(error) || !this.#giveUp()) throw error;
      return use();
    }
  }

  /** As `retryOnceWithout`, and takes back what was given up for it. */
  lend<T>(use: () => T): T {
    try {
      return this.retryOnceWithout(use);
    } finally {
      this.takeBack();
    }
  }

  /** For what does not fail for want of space, but is left undone; false where there is enough. */
  giveUpWhenShort(): boolean {
    const { bavail, bsize, files, ffree } = this.#statfs();
    const isShort = bavail * bsize < SHORT_BYTES || (files > 0 && ffree < SHORT_INODES);
    if (isShort) this.#giveUp();
    return isShort;
  }

  /** Makes again what was given up here, as far as it goes: a part is better than nothing, and completed later. */
  takeBack(): void {
    if (!this.#isOurs) return;
    this.#isOurs = false;
    try {
      this.#make(this.#missing());
    } catch (error) {
      // Not worth the result of a command: the next one that changes something makes it again.
      if (errnoOf(error) === undefined) throw error;
    }
  }

  #missing(): string[] {
    return this.#paths.filter((path, index) => {
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? -1;
      return size < (index === 0 ? RESERVE_BYTES : 0);
    });
  }

  #statfs(): { bavail: number; bsize: number; files: number; ffree: number } {
    return statfsSync(dirname(this.#paths[0] ?? ''));
  }

  /**
   * SQLite writes one byte for each page of its -shm: where blocks are smaller, that leaves holes, and a write into the
   * map of one for which there is no block any more ends the process by SIGBUS.
   */
  #requireBlocks(): void {
    if (this.#statfs().bsize >= SHM_PAGE_BYTES) return;
    const path = this.#paths[0] ?? '';
    try {
      // Tried, since no number tells what root, a quota or the filesystem itself keeps back.
      if (write(path, SHM_ROOM_BYTES)) return;
    } catch (error) {
      if (!NO_ROOM.includes(errnoOf(error) ?? '')) throw error;
    } finally {
      remove(path);
    }
    throw noSpaceLeft('registry', dirname(path), { bytes: SHM_ROOM_BYTES });
  }

  /** False when there was no room for all of it. */
  #make(paths: readonly string[]): boolean {
    try {
      // The small ones first: the blocks may be what there is no room for.
      return paths.toReversed().every((path) => write(path, path === this.#paths[0] ? RESERVE_BYTES : 0));
    } catch (error) {
      if (!NO_ROOM.includes(errnoOf(error) ?? '')) throw error;
      return false;
    }
  }

  /** False when there was nothing to give up: the first error is then the one to tell. */
  #giveUp(): boolean {
    const given = this.#paths.filter(remove);
    if (given.length > 0) this.#isOurs = true;
    return given.length > 0;
  }
}

/** False when only a part could be written. */
function write(path: string, bytes: number): boolean {
  const file = openSync(path, 'w', 0o600);
  try {
    // Not zeros: a filesystem that compresses would keep back next to nothing. In pieces: of one write that does not
    // fit, nothing need be written.
    for (let written = 0; written < bytes; written += PIECE_BYTES) {
      if (writeSync(file, randomFillSync(Buffer.allocUnsafe(PIECE_BYTES))) < PIECE_BYTES) return false;
    }
    return true;
  } finally {
    closeSync(file);
  }
}

function remove(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch {
    return false;
  }
}
