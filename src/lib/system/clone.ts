import { createHash } from 'node:crypto';
import { chmodSync, constants } from 'node:fs';
import { copyFile, link, lstat, open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, PreflightError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { identityOf } from './file-identity.ts';
import { footprintOf } from './footprint.ts';
import { run, toolFailed } from './process.ts';
import { removeFile } from './remove.ts';
import { nameFullDisk } from './room.ts';
import { walkTree } from './tree.ts';

/** How a copy was made: by sharing extents, or byte by byte. */
export type CloneMethod = 'reflink' | 'copy';

export interface CloneOptions {
  /** Others may give the file second names meanwhile, or take them away, which sets its ctime (link(2), unlink(2)). */
  isLinked?: boolean;
}

/**
 * Copies a file to a new path (mode 0600), sharing extents where the filesystem can, else keeping holes.
 * @throws PreflightError when the source's size, mtime or ctime changed meanwhile, or it is gone
 */
export async function cloneFile(
  source: string,
  target: string,
  signal: AbortSignal,
  { isLinked = false }: CloneOptions = {},
): Promise<CloneMethod> {
  signal.throwIfAborted();
  const identifySource = (): Promise<string> => identify(source, isLinked);
  const before = await identifySource();
  const outcome = await copyOnce(source, target, signal).catch((error: unknown) => ({ error }));
  // Why a copy failed matters less than that its source is being written to.
  if (!signal.aborted && (await identifySource()) !== before) {
    removeFile(target);
    throw sourceChanged(source);
  }
  if (typeof outcome === 'object') throw outcome.error;
  return outcome;
}

/** The same for a file that is ours, whose times may change though nothing is written to it any more. */
export async function cloneWritten(
  source: string,
  target: string,
  signal: AbortSignal,
): Promise<CloneMethod> {
  signal.throwIfAborted();
  return copyOnce(source, target, signal);
}

async function copyOnce(source: string, target: string, signal: AbortSignal): Promise<CloneMethod> {
  const method = (await shareExtents(source, target)) ? 'reflink' : 'copy';
  if (method === 'copy') {
    // auto: copy_file_range(2) and SEEK_HOLE where there are; holes stay holes without reading every block for zeros.
    const copying = copy(['--reflink=auto', '--sparse=auto'], source, target, signal);
    await writeOutWhile(copying, target);
  }
  chmodSync(target, 0o600);
  return method;
}

/** A second name for what is in a file that nobody writes to any more: its extents where they can be shared, else itself. */
export async function shareFile(source: string, target: string): Promise<void> {
  if (!(await shareExtents(source, target))) await link(source, target);
}

/** How long a copy may go on before what it wrote is sent to the disk, in milliseconds. */
const WRITE_OUT_MS = 100;

/**
 * Sends a file to the disk while it is being written: by itself the kernel waits for seconds, and the sync that comes
 * before publishing would take as long again as the copy.
 */
async function writeOutWhile(copying: Promise<void>, path: string): Promise<void> {
  const ended = new AbortController();
  const writingOut = (async () => {
    while (await paused(ended.signal)) await dataSync(path);
  })();
  const [copied, writtenOut] = await Promise.allSettled([copying.finally(() => ended.abort()), writingOut]);
  if (copied.status === 'rejected') throw copied.reason;
  // Not to be passed over: the kernel tells of a failed write once, and a later fsync(2) would succeed.
  if (writtenOut.status === 'rejected') throw writtenOut.reason;
}

/** Waits a moment; false once the signal has come. */
async function paused(signal: AbortSignal): Promise<boolean> {
  await sleep(WRITE_OUT_MS, undefined, { signal }).catch(() => {});
  return !signal.aborted;
}

async function dataSync(path: string): Promise<void> {
  const file = await open(path, 'r').catch((error: unknown) => {
    // Not made yet, or cp has failed.
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return;
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Runs cp(1). */
async function copy(
  options: readonly string[],
  source: string,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const result = await run('cp', [...options, '--', source, target], { signal, okExit: 'any' });
  if (result.exitCode === 0) return;
  const { bytes } = await footprintOf(source);
  throw nameFullDisk(toolFailed('cp', result), dirname(target), bytes);
}

/** A source that is not what it was when its copy began. */
export function sourceChanged(source: string): PreflightError {
  return new PreflightError('copy', [
    {
      message: `${oneLine(source)} changed while it was being copied`,
      mend: 'stop whatever writes to it (a running VM?), then run the command again',
    },
  ]);
}

async function shareExtents(source: string, target: string): Promise<boolean> {
  try {
    await copyFile(source, target, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (errnoOf(error) === undefined || errnoOf(error) === 'EEXIST') throw error;
    // Extents cannot be shared (ioctl_ficlone(2): EOPNOTSUPP, EXDEV, …); what else may be in the way, cp puts in words.
    return false;
  }
}

/**
 * What changes when a file, or anything in a directory tree, is written to, replaced, added or removed: size, mtime and
 * ctime of each; of what is gone or closed to us, the reason. The path itself may be a symbolic link; those in a tree
 * stand for themselves.
 * @param isLinked of a file: its ctime says nothing
 */
export async function identify(path: string, isLinked = false): Promise<string> {
  try {
    const found = await stat(path, { bigint: true });
    if (!found.isDirectory()) return identityOf(isLinked ? { ...found, ctimeNs: 0n } : found);
    const all = createHash('sha256').update(identityOf(found));
    for await (const { name, stats } of walkTree(path)) all.update(`${name}\0`).update(identityOf(stats));
    return all.digest('hex');
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno;
  }
}

/** Copies a directory tree; links stay links, owners become ours, extents are shared where they can be. */
export async function cloneTree(source: string, target: string, signal: AbortSignal): Promise<void> {
  await lstat(source);
  // -R -P: nothing is followed out of the tree. --no-target-directory: the target is the copy, not a place for it.
  const options = ['-R', '-P', '--reflink=auto', '--preserve=mode,timestamps,links', '--no-target-directory'];
  await copy(options, `${source}/.`, target, signal);
}

/**
 * The same tree in directories of its own, with second names of its files (link(2)): for files that nobody writes to.
 * @returns false where a second name cannot be made; nothing is left then
 */
export async function linkTree(source: string, target: string, signal: AbortSignal): Promise<boolean> {
  const options = ['-R', '-P', '-l', '--preserve=mode,timestamps', '--no-target-directory'];
  const result = await run('cp', [...options, '--', `${source}/.`, target], { signal, okExit: 'any' });
  if (result.exitCode === 0) return true;
  signal.throwIfAborted();
  await rm(target, { recursive: true, force: true });
  return false;
}
