import { constants } from 'node:fs';
import { access, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { run, toolPath } from './process.ts';

/** The full path of a program, as `run` would find it (/usr/sbin and /sbin included), or null. */
export async function findTool(name: string, path = toolPath()): Promise<string | null> {
  for (const directory of path.split(':')) {
    const candidate = join(directory, name);
    try {
      await access(candidate, constants.X_OK);
      if ((await stat(candidate)).isFile()) return candidate;
    } catch {
      // Not here: that is what the next directory is for.
    }
  }
  return null;
}

/** The first thing like a version number in what a program says of itself, or null. Many say it with a status of 1. */
export async function toolVersion(
  file: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<string | null> {
  const { stdout, stderr } = await run(file, args, { okExit: 'any', ...(signal ? { signal } : {}) });
  return /\d+\.\d+[\w.-]*/u.exec(stdout + stderr)?.[0] ?? null;
}

/** Whether a program may change user ids for others: by its setuid bit, or by file capabilities (capabilities(7)). */
export async function mayChangeIds(path: string): Promise<boolean> {
  const { mode, uid } = await stat(path);
  if (uid === 0 && (mode & 0o4000) !== 0) return true;
  const { stdout } = await run('getcap', [path], { okExit: 'any' });
  return /cap_set[ug]id/u.test(stdout);
}

export interface IdRange {
  first: number;
  count: number;
}

/** A user's subordinate ids as `/etc/subuid` or `/etc/subgid` gives them (subuid(5)): by name or by number. */
export async function subordinateIds(file: string, user: { name: string; uid: number }): Promise<IdRange[]> {
  return (await readSubordinates(file))
    .filter(({ owner }) => owner === user.name || owner === String(user.uid))
    .map(({ first, count }) => ({ first, count }));
}

/** The first id after all ranges of a file, from 100000 on (login.defs(5), SUB_UID_MIN). */
export async function firstFreeSubordinate(file: string): Promise<number> {
  const ends = (await readSubordinates(file)).map(({ first, count }) => first + count);
  return Math.max(100_000, ...ends);
}

async function readSubordinates(file: string): Promise<(IdRange & { owner: string })[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => {
    const [owner, first, count] = line.split(':');
    if (!owner || !first || !count) return [];
    return [{ owner, first: Number(first), count: Number(count) }];
  });
}

/** Why a device cannot be opened for reading and writing (`ENOENT`, `EACCES` …), or null when it can. */
export async function deviceFault(path: string): Promise<string | null> {
  try {
    await (await open(path, constants.O_RDWR | constants.O_NONBLOCK)).close();
    return null;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return errno;
  }
}

/**
 * Why the namespaces of a sandbox cannot be made here, in unshare's own words, or null when they can.
 * @param kind `user` needs subordinate ids and newuidmap; `root` needs CAP_SYS_ADMIN
 */
export async function namespaceFault(kind: 'root' | 'user', signal?: AbortSignal): Promise<string | null> {
  const mapping = kind === 'user' ? ['--map-root-user', '--map-auto'] : [];
  const { exitCode, stderr } = await run('unshare', [...mapping, '--mount', '--pid', '--fork', 'true'], {
    okExit: 'any',
    ...(signal ? { signal } : {}),
  });
  if (exitCode === 0) return null;
  return stderr.trim().split('\n').pop() || `unshare ended with status ${exitCode}`;
}

/** A kernel setting below /proc/sys, or null where this kernel has none of that name. */
export async function readSysctl(name: string): Promise<string | null> {
  try {
    return (await readFile(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8')).trim();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}
