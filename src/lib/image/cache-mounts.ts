import { existsSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from '../layout.ts';
import { removeDirectory } from '../recovery.ts';
import { isFlocked } from '../system/file-locks.ts';
import { isThere } from '../system/filesystem.ts';
import { holdLock } from '../system/held-lock.ts';
import { runMapped } from '../system/mapped.ts';
import { removeFile } from '../system/remove.ts';
import { PACKAGE_STORE } from './package-store.ts';

/** What is kept of a mount, as `--json` prints it. */
export interface CachedMountJson {
  /** The name of its directory. */
  id: string;
  kind: 'mount';
  /** What recipes call it. */
  title: string;
  /** What it takes on the disk, in bytes. */
  bytes: number;
  in_use: boolean;
  used_at: string;
}

/** One that recipes share, or one of several that each have for themselves: see cache-mount.ts. */
const MOUNT = /^[0-9a-f]{64}(?:\.(?<copy>\d+))?$/u;
/** What is on its way out. */
const GONE = '.gone';

/** All that builds keep of mounts, with what it takes just now: the cache mounts of recipes, and the packages. */
export async function listMounts({ mountsDir }: Pick<Layout, 'mountsDir'>): Promise<CachedMountJson[]> {
  const names = entriesOf(mountsDir).filter((name) => name === PACKAGE_STORE || MOUNT.test(name));
  const bytes = await allocatedBytes(names.map((name) => join(mountsDir, name)));
  return names.flatMap((id, index) => {
    const directory = join(mountsDir, id);
    const usedMs = lastUse(id === PACKAGE_STORE ? directory : `${directory}.lock`);
    if (usedMs === null) return [];
    return {
      id,
      kind: 'mount' as const,
      title: titleOf(mountsDir, id),
      bytes: bytes[index] ?? 0,
      in_use: isFlocked(`${directory}.lock`),
      used_at: new Date(usedMs).toISOString(),
    };
  });
}

/**
 * Removes what is kept of a mount. What a command uses stays: its lock tells, and is never removed itself, since others may
 * wait for it. Packages are used by nobody: builds have copies of them.
 */
export async function removeMount(
  { mountsDir }: Pick<Layout, 'mountsDir'>,
  id: string,
  signal: AbortSignal,
): Promise<boolean> {
  const directory = join(mountsDir, id);
  const gone = `${directory}${GONE}`;
  const lock =
    id === PACKAGE_STORE
      ? { release: async () => {} }
      : await holdLock(`${directory}.lock`, { shared: false, wait: false, signal });
  if (lock === null) return false;
  try {
    if (isThere(gone)) await removeDirectory(gone);
    renameSync(directory, gone);
    removeFile(`${directory}.name`);
  } finally {
    await lock.release();
  }
  await removeDirectory(gone);
  return true;
}

/** Removes what commands that were killed left half removed. */
export async function removeHalfRemoved({ mountsDir }: Pick<Layout, 'mountsDir'>): Promise<void> {
  for (const name of entriesOf(mountsDir)) {
    if (name.endsWith(GONE)) await removeDirectory(join(mountsDir, name));
  }
}

/** Which of them go until no more than so many bytes are left: those first that were of no use for longest. */
export function chooseMounts(
  mounts: readonly CachedMountJson[],
  { limitBytes, unusedSince }: { limitBytes: number; unusedSince: string | undefined },
): CachedMountJson[] {
  const oldest = mounts
    .filter(({ in_use, used_at }) => !in_use && (unusedSince === undefined || used_at < unusedSince))
    .sort((one, other) => (one.used_at < other.used_at ? -1 : 1));
  const chosen: CachedMountJson[] = [];
  let left = bytesOfMounts(mounts);
  for (const mount of oldest) {
    if (left <= limitBytes) break;
    chosen.push(mount);
    left -= mount.bytes;
  }
  return chosen;
}

export function bytesOfMounts(mounts: readonly CachedMountJson[]): number {
  return mounts.reduce((sum, { bytes }) => sum + bytes, 0);
}

function entriesOf(directory: string): string[] {
  return isThere(directory) ? readdirSync(directory).sort() : [];
}

function lastUse(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;
}

function titleOf(mountsDir: string, id: string): string {
  if (id === PACKAGE_STORE) return 'package downloads';
  const name = join(mountsDir, `${id}.name`);
  const copy = MOUNT.exec(id)?.groups?.copy;
  const title = existsSync(name) ? readFileSync(name, 'utf8') : id;
  return copy === undefined ? title : `${title} (${Number(copy) + 1})`;
}

/** A mount that is being written to may lose files while they are counted, which du(1) complains of. */
async function allocatedBytes(directories: readonly string[]): Promise<number[]> {
  if (directories.length === 0) return [];
  const options = ['--summarize', '--one-file-system', '--block-size=1', '--null'];
  const { stdout } = await runMapped('du', [...options, '--', ...directories], { okExit: [0, 1] });
  const found = new Map(
    stdout.split('\0').map((line) => {
      const [bytes = '', ...path] = line.split('\t');
      return [path.join('\t'), Number(bytes)] as const;
    }),
  );
  return directories.map((directory) => found.get(directory) ?? 0);
}
