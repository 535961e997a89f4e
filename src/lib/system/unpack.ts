import { closeSync, constants, fsyncSync, lstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, PreflightError } from '../errors.ts';
import { makePrivateDirectory } from './private-directory.ts';

/** Something that others may have a hand in is not used, and not mended either. */
const OTHERS_MAY_WRITE = 0o022;

/**
 * A file of ours in a directory of ours (0700), unpacked there by the first who wants it: written aside and renamed, so
 * that nobody meets half of it.
 * @param name tells the content, by its hash: what has the name is taken to be it, if it is ours and of the right length
 * @returns its path, or null where it cannot be, or where somebody else may change what is there
 */
export function unpackPrivately(directory: string, name: string, content: Uint8Array): string | null {
  const path = join(directory, name);
  try {
    if (isOwnDirectory(directory) && isOwnFile(path, content.length)) return path;
    makePrivateDirectory(directory);
    if (!isOwnDirectory(directory)) return null;
    write(path, content);
    return isOwnFile(path, content.length) ? path : null;
  } catch (error) {
    if (errnoOf(error) === undefined && !(error instanceof PreflightError)) throw error;
    return null;
  }
}

function isOwnDirectory(directory: string): boolean {
  const found = lstatSync(directory, { throwIfNoEntry: false });
  return (
    found?.isDirectory() === true &&
    found.uid === process.geteuid?.() &&
    (found.mode & OTHERS_MAY_WRITE) === 0
  );
}

function isOwnFile(path: string, length: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return (
    found?.isFile() === true &&
    found.uid === process.geteuid?.() &&
    (found.mode & OTHERS_MAY_WRITE) === 0 &&
    found.size === length
  );
}

function write(path: string, content: Uint8Array): void {
  const aside = `${path}.${process.pid}`;
  rmSync(aside, { force: true });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = openSync(aside, flags, 0o600);
  try {
    for (let written = 0; written < content.length; ) written += writeSync(file, content, written);
    // A name without its content after a loss of power would be taken for it.
    fsyncSync(file);
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}
