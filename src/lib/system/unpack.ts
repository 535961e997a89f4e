import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';

/** Something that others may have a hand in is not used, and not mended either. */
const OTHERS_MAY_WRITE = 0o022;

/**
 * A file of ours in a directory of ours (0700), unpacked there by the first who wants it: written aside and renamed, so
 * that nobody meets half of it.
 * @param name tells the content, by its hash: what has the name is taken to be it, if it is ours and of the right length
 * @returns its path, or null where it cannot be, or where somebody else may change what is there
 */
export function unpackPrivately(directory: string, name: string, content: Uint8Array): string | null {
  try {
    makeOwnDirectory(directory);
    const path = join(directory, name);
    if (!isOwnFile(path, content.length)) write(path, content);
    return isOwnFile(path, content.length) ? path : null;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return null;
  }
}

function makeOwnDirectory(directory: string): void {
  mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  const { uid, mode } = lstatSync(directory);
  const isDirectory = (mode & constants.S_IFMT) === constants.S_IFDIR;
  if (isDirectory && uid === process.geteuid?.() && (mode & OTHERS_MAY_WRITE) === 0) return;
  throw Object.assign(new Error(`${directory} is not ours alone`), { code: 'EPERM' });
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
    if (fstatSync(file).size !== content.length) throw new Error(`${aside} was written to by another`);
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}
