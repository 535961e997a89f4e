import { createHash } from 'node:crypto';
import { utimesSync, writeFileSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { CacheMount } from '../recipe/recipe.ts';
import { isThere } from '../system/filesystem.ts';
import { type HeldLock, holdLock } from '../system/held-lock.ts';
import { makePrivateDirectory } from '../system/private-directory.ts';
import { oneLine } from '../text.ts';
import type { StepSurroundings } from './recipe-surroundings.ts';

/** A cache for as long as a command uses it. */
export interface HeldCache {
  directory: string;
  release(): Promise<void>;
}

/** Fills a directory, which is empty, with what a new cache begins with. */
type Fill = (directory: string) => Promise<void>;

/**
 * Takes the cache of a mount, and makes it when it is new. Beside each is a file whose lock says who uses it: one at a time
 * what is `locked`, many together what is `shared`; of what is `private` each command has the first that nobody uses.
 * @throws the signal's reason while it waits for another build
 */
export async function holdCache(mount: CacheMount, fill: Fill, around: StepSurroundings): Promise<HeldCache> {
  const { mountsDir, signal } = around;
  // Other users must not come to what guests leave there, setuid programs of their root among it.
  makePrivateDirectory(mountsDir);
  const name = createHash('sha256').update(mount.id).digest('hex');
  if (mount.sharing === 'private') {
    for (let count = 0; ; count += 1) {
      const directory = join(mountsDir, count === 0 ? name : `${name}.${count}`);
      const lock = await holdLock(`${directory}.lock`, { shared: false, wait: false, signal });
      if (lock === null) continue;
      await orRelease(lock, () => makeCache(directory, mount, fill, around));
      recordUse(directory, mount);
      return { directory, release: lock.release };
    }
  }
  const directory = join(mountsDir, name);
  for (;;) {
    const shared = mount.sharing === 'shared' && isThere(directory);
    const lock = await waitForLock(`${directory}.lock`, shared, mount, around);
    if (!shared) await orRelease(lock, () => makeCache(directory, mount, fill, around));
    if (shared ? isThere(directory) : mount.sharing === 'locked') {
      recordUse(directory, mount);
      return { directory, release: lock.release };
    }
    // It had to be made by one alone, or is gone again.
    await lock.release();
  }
}

async function waitForLock(
  path: string,
  shared: boolean,
  { id }: CacheMount,
  { signal, log, show }: StepSurroundings,
): Promise<HeldLock> {
  const lock = await holdLock(path, { shared, wait: false, signal });
  if (lock !== null) return lock;
  const news = `waiting for the cache ${oneLine(id)}, which another command uses`;
  log.write(news);
  show(news);
  const later = await holdLock(path, { shared, wait: true, signal });
  if (later === null) throw new Error('a lock that is waited for is held in the end');
  return later;
}

async function orRelease(lock: HeldLock, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** For those who look at what is kept: what recipes call it, and when it was last used. */
function recordUse(directory: string, { id }: CacheMount): void {
  const name = `${directory}.name`;
  if (!isThere(name)) writeFileSync(name, id, { mode: 0o600 });
  const now = new Date();
  utimesSync(`${directory}.lock`, now, now);
}

/** Aside, then by one rename: what was interrupted is begun anew. What belongs to the guest's ids is changed where those are. */
async function makeCache(
  directory: string,
  { mode, uid, gid }: CacheMount,
  fill: Fill,
  { sandbox }: StepSurroundings,
): Promise<void> {
  if (isThere(directory)) return;
  const aside = `${directory}.new`;
  await sandbox.runTool('rm', ['-rf', '--', aside]);
  await mkdir(aside, { mode: 0o700 });
  await fill(aside);
  await sandbox.giveTo(aside, { uid, gid });
  await sandbox.runTool('chmod', [mode.toString(8), '--', aside]);
  await rename(aside, directory);
}
