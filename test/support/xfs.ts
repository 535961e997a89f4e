import { inject } from 'vitest';
import { type MountedFilesystem, mountNew } from './loop-mount.ts';
import type { Account } from './test-user.ts';

// What a test forgets, or a test run that was killed, is unmounted with the run's directory.
const below = (): string => inject('testRun').directory;

/** An XFS that can share blocks between files; 300 MiB is the least that mkfs.xfs makes. */
export function mountXfs(
  sizeMiB = 600,
  owner?: Account,
  { reflink = true } = {},
): Promise<MountedFilesystem> {
  const make = ['-m', `reflink=${reflink ? 1 : 0}`];
  return mountNew('xfs', { below: below(), sizeMiB, make, ...(owner ? { owner } : {}) });
}

/** An ext4, which cannot. */
export function mountExt4(
  sizeMiB = 600,
  owner?: Account,
  make: readonly string[] = [],
): Promise<MountedFilesystem> {
  return mountNew('ext4', { below: below(), sizeMiB, make, ...(owner ? { owner } : {}) });
}
