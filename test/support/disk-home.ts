import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Home } from './cli.ts';
import type { MountedFilesystem } from './loop-mount.ts';
import type { Account } from './test-user.ts';

/** Uses a home on a filesystem of its own; then verifies its state, and removes both. */
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
  } finally {
    await home.remove();
    await disk.remove();
  }
}
