import { type BigIntStats, lstatSync } from 'node:fs';
import { errnoOf, messageOf, PreflightError } from '../errors.ts';
import { fsPath, readLink } from '../system/file-name.ts';
import { oneLine } from '../text.ts';

/** Something in a context, no symbolic link, as a path from its root: empty for the root itself. */
export interface Place {
  path: string;
  stats: BigIntStats;
  /** The symbolic links that led to it, as paths from the root. */
  links: readonly string[];
}

/** As many links as are followed for one path (MAXSYMLINKS of Linux is 40; containerd/continuity, fs.RootPath: 255). */
const MAX_LINKS = 255;

/**
 * Follows a clean path as if the context were the root of all: an absolute link begins at it, and nothing leads out of it.
 * @returns null where nothing is there
 * @throws PreflightError when links lead around in a circle, or a directory may not be searched
 */
export function locate(root: string, path: string): Place | null {
  const left = partsOf(path).reverse();
  const parts: string[] = [];
  const links: string[] = [];
  let stats = look(root, '');
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (!stats?.isDirectory()) return null;
    if (name === '..') {
      parts.pop();
      continue;
    }
    const here = [...parts, name].join('/');
    const found = look(root, here);
    if (!found?.isSymbolicLink()) {
      parts.push(name);
      stats = found;
      continue;
    }
    links.push(here);
    if (links.length > MAX_LINKS) throw unreachable(path, 'its symbolic links lead around in a circle');
    const target = readLink(`${root}/${here}`);
    if (target.startsWith('/')) parts.length = 0;
    left.push(...partsOf(target).reverse());
    stats = look(root, parts.join('/'));
  }
  const end = look(root, parts.join('/'));
  return end === null ? null : { path: parts.join('/'), stats: end, links };
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function look(root: string, path: string): BigIntStats | null {
  try {
    return lstatSync(fsPath(path === '' ? root : `${root}/${path}`), { bigint: true });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(errno)) return null;
    throw unreachable(path, messageOf(error));
  }
}

function unreachable(path: string, why: string): PreflightError {
  return new PreflightError('build context', [
    {
      message: `${oneLine(path)} cannot be looked at: ${oneLine(why)}`,
      mend: 'check the links on the way and the modes of the directories',
    },
  ]);
}
