import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import { isOwnerAlive, ownerOf } from './test-owner.ts';

const PREFIX = 'banger-test-';
const OWNER_FILE = 'owner';

/** Makes the directory of a test run, which every account may enter. */
export async function makeRunDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), PREFIX));
  await chmod(directory, 0o755);
  await writeFile(join(directory, OWNER_FILE), ownerOf(process.pid));
  return directory;
}

/** Removes a test run's directory, and what tests left mounted in it; returns those mount points. */
export async function removeRunDirectory(directory: string): Promise<string[]> {
  const mounts = mountPointsBelow(directory);
  for (const mountPoint of mounts) await run('umount', ['--lazy', mountPoint]);
  await rm(directory, { recursive: true, force: true });
  return mounts;
}

/** Removes the directories of test runs that died before they could. */
export async function removeForgottenRunDirectories(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(PREFIX)) continue;
    const directory = join(tmpdir(), name);
    const owner = await readFile(join(directory, OWNER_FILE), 'utf8').catch(() => undefined);
    if (owner !== undefined && !isOwnerAlive(owner)) await removeRunDirectory(directory);
  }
}

/** The innermost first. Mount points are the fifth field of mountinfo (proc(5)). */
function mountPointsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mountPoint) => mountPoint.startsWith(`${directory}/`))
    .reverse();
}
