import { dirname } from 'node:path';
import { BangerError, errnoOf, type Fault, messageOf, PreflightError } from '../errors.ts';
import { formatBytes, oneLine, shellWord } from '../text.ts';
import { existingPart, mountPointOf, spaceOf } from './filesystem.ts';

/** What something is certain to write to a filesystem. */
export interface Room {
  bytes: number;
  inodes: number;
}

/** A filesystem as an error names it: `the filesystem at /srv (2.1 GiB and 17 inodes left)`. */
function describeSpace(path: string): string {
  const { freeBytes, freeInodes } = spaceOf(path);
  const inodes = freeInodes === null ? '' : ` and ${freeInodes} inodes`;
  return `the filesystem at ${oneLine(mountPointOf(path))} (${formatBytes(freeBytes)}${inodes} left)`;
}

function makeRoom(path: string): string {
  const look = `df -h ${shellWord(mountPointOf(path))}`;
  return `make room: banger cache prune, banger trash empty, or banger image delete --purge NAME (${look})`;
}

/** Why so much cannot be written to the filesystem of an existing path, or null where it can for all that is known. */
export function roomFault(path: string, { bytes, inodes }: Room): Fault | null {
  const { freeBytes, totalBytes, freeInodes } = spaceOf(path);
  const short = [
    // A ramfs counts nothing.
    ...(totalBytes > 0 && bytes > freeBytes ? [formatBytes(bytes)] : []),
    ...(freeInodes !== null && inodes > freeInodes ? [`${inodes} inodes`] : []),
  ];
  if (short.length === 0) return null;
  return {
    message: `${short.join(' and ')} are wanted on ${describeSpace(path)}`,
    mend: makeRoom(path),
  };
}

/** Less than this is room for nothing, in bytes: ext4 keeps up to 4096 blocks for itself, which it counts as free. */
const NO_ROOM = 20 * 2 ** 20;

export function isFull(path: string): boolean {
  const { freeBytes, freeInodes } = spaceOf(path);
  return freeBytes < NO_ROOM || freeInodes === 0;
}

/**
 * For when something failed that writes to a file and cannot say why itself.
 * @throws PreflightError when the file's filesystem is full
 */
export function requireRoom(file: string): void {
  const directory = dirname(file);
  if (isFull(directory)) throw noSpaceLeft(file, directory);
}

/** Something found no space on a filesystem, which it names. */
class NoSpaceError extends PreflightError {}

export interface Wanting {
  /** What is known to have been wanted, in bytes. */
  bytes?: number;
  /** What was said below. */
  said?: string;
  cause?: unknown;
}

/** The error of what found no space on the filesystem of an existing path. */
export function noSpaceLeft(subject: string, path: string, wanting: Wanting = {}): PreflightError {
  const { bytes, said, cause } = wanting;
  const wanted = bytes === undefined ? '' : `, ${formatBytes(bytes)} wanted`;
  const why = said === undefined ? '' : `: ${said}`;
  const message = `no space left on ${describeSpace(path)}${wanted}${why}`;
  const error = new NoSpaceError(subject, [{ message, mend: makeRoom(path) }]);
  if (cause !== undefined) error.cause = cause;
  return error;
}

/** What programs say in the C locale, and Node, when there is no room (ENOSPC, EDQUOT; errno(3)). */
const SAID = /No space left on device|Disk quota exceeded|\b(?:ENOSPC|EDQUOT)\b/u;

/** Whether a tool, or a system call of ours, failed for want of space. A guest's own full disk is another matter. */
function isOutOfRoom(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if (!(error instanceof BangerError)) return ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '');
  return ['tool_failed', 'corrupt', 'preflight_failed'].includes(error.code) && SAID.test(error.message);
}

/**
 * An error with the filesystem that it found no space on: of the file that the system names, else of `path`. Any other
 * error as it is.
 * @param bytes what is known to have been wanted
 */
export function nameFullDisk(error: unknown, path: string, bytes?: number): unknown {
  if (error instanceof NoSpaceError || !isOutOfRoom(error)) return error;
  const where = 'path' in error && typeof error.path === 'string' ? existingPart(error.path) : path;
  const wanted = bytes === undefined ? {} : { bytes };
  return noSpaceLeft('full disk', where, { ...wanted, said: messageOf(error), cause: error });
}
