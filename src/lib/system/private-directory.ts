import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf, messageOf, PreflightError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { existingPart } from './filesystem.ts';
import { nameFullDisk } from './room.ts';

/**
 * Makes a directory, and what is missing above it, mode 0700. Not mkdirSync's `recursive`, which never returns where
 * a directory exists but refuses new entries with ENOENT, as /proc does (seen with Node 24.21.0).
 * @throws PreflightError
 */
export function makePrivateDirectory(path: string): void {
  try {
    makeWithParents(path, true);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    const named = nameFullDisk(error, existingPart(path));
    if (named !== error) throw named;
    throw new PreflightError('directory', [
      {
        message: `${oneLine(path)} cannot be made: ${messageOf(error)}`,
        mend: `check owner, mode and space: ls -ld '${dirname(path)}'`,
      },
    ]);
  }
}

function makeWithParents(path: string, tryParent: boolean): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' && statSync(path).isDirectory()) return;
    const parent = dirname(path);
    if (errnoOf(error) !== 'ENOENT' || !tryParent || parent === path) throw error;
    makeWithParents(parent, true);
    makeWithParents(path, false);
  }
}
