import { rmdirSync, rmSync, unlinkSync } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { isThere } from './filesystem.ts';

// rmSync tells few errors by their code: of all others it says `, Unknown error: Input/output error` (Node 24.21.0).

/** Removes a file if it is there. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

/** Removes a directory that should be empty if it is there; whatever else is there under its name, too. */
export function removeWhatIsThere(path: string): void {
  if (!isThere(path)) return;
  try {
    rmdirSync(path);
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errno)) throw error;
    rmSync(path, { recursive: true, force: true });
  }
}
