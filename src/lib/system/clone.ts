import { chmodSync, constants, rmSync } from 'node:fs';
import { copyFile, lstat, stat } from 'node:fs/promises';
import { errnoOf, PreflightError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { run } from './process.ts';

/** How a copy was made: by sharing extents, or byte by byte. */
export type CloneMethod = 'reflink' | 'copy';

/** What FICLONE answers where extents cannot be shared (ioctl_ficlone(2)). */
const NO_REFLINK = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS', 'EPERM']);

/**
 * Copies a file to a new path (mode 0600), sharing extents where the filesystem can, else keeping holes.
 * @throws PreflightError when the source's size, mtime or ctime changed meanwhile
 */
export async function cloneFile(source: string, target: string, signal: AbortSignal): Promise<CloneMethod> {
  signal.throwIfAborted();
  const before = await identityOf(source);
  const method = (await shareExtents(source, target)) ? 'reflink' : 'copy';
  if (method === 'copy') {
    // auto: copy_file_range(2) and SEEK_HOLE where there are; holes stay holes without reading every block for zeros.
    await run('cp', ['--reflink=auto', '--sparse=auto', '--', source, target], { signal });
  }
  chmodSync(target, 0o600);
  const after = await identityOf(source);
  if (before !== after) {
    rmSync(target, { force: true });
    throw new PreflightError('copy', [
      {
        message: `${oneLine(source)} changed while it was being copied`,
        mend: 'stop whatever writes to it (a running VM?), then run the command again',
      },
    ]);
  }
  return method;
}

async function shareExtents(source: string, target: string): Promise<boolean> {
  try {
    await copyFile(source, target, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (NO_REFLINK.has(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

async function identityOf(path: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

/** Copies a directory tree; links stay links, owners become ours, extents are shared where they can be. */
export async function cloneTree(source: string, target: string, signal: AbortSignal): Promise<void> {
  await lstat(source);
  // -R -P: nothing is followed out of the tree. --no-target-directory: the target is the copy, not a place for it.
  await run(
    'cp',
    [
      '-R',
      '-P',
      '--reflink=auto',
      '--preserve=mode,timestamps,links',
      '--no-target-directory',
      '--',
      `${source}/.`,
      target,
    ],
    { signal },
  );
}
