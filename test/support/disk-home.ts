import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Home } from './cli.ts';
import type { MountedFilesystem } from './loop-mount.ts';
import type { Account } from './test-user.ts';

/** Uses a home on a filesystem of its own; then verifies its state, and throws the filesystem away. */
export async function onDisk(
  disk: MountedFilesystem,
  account: Account,
  use: (home: Home) => Promise<void>,
): Promise<void> {
  const directory = join(disk.directory, 'home');
  await mkdir(directory);
  await chown(directory, account.uid, account.gid);
  const home = Home.at(directory, account);
  try {
    await use(home);
    await home.verify();
  } catch (error) {
    await home.stop();
    // The first error is the one to tell.
    await disk.remove().catch(() => {});
    throw error;
  }
  await disk.remove();
}
