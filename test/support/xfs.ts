import { chown, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import type { Account } from './test-user.ts';

export interface MountedFilesystem {
  /** Where it is mounted; open to `owner`. */
  directory: string;
  remove(): Promise<void>;
}

/**
 * Makes a filesystem in a sparse file and mounts it. Wants root and a free loop device. What a test forgets, or a test
 * run that was killed, is unmounted with the run's directory.
 */
async function mountNew(
  mkfs: readonly string[],
  sizeMiB: number,
  owner?: Account,
): Promise<MountedFilesystem> {
  const base = await mkdtemp(join(inject('testRun').directory, 'mount-'));
  const image = join(base, 'disk');
  const directory = join(base, 'mounted');
  const [tool = '', ...args] = mkfs;
  await writeFile(image, '');
  await truncate(image, sizeMiB * 1024 * 1024);
  await mkdir(directory);
  await run('chmod', ['0755', base]);
  await run(tool, [...args, image]);
  await run('mount', ['-o', 'loop', image, directory]);
  if (owner) await chown(directory, owner.uid, owner.gid);
  return {
    directory,
    async remove() {
      await run('umount', [directory]);
      await rm(base, { recursive: true });
    },
  };
}

/** An XFS that can share blocks between files (mkfs.xfs(8), reflink); 300 MiB is the least that mkfs.xfs makes. */
export function mountXfs(sizeMiB = 600, owner?: Account): Promise<MountedFilesystem> {
  return mountNew(['mkfs.xfs', '-q', ...['-m', 'reflink=1']], sizeMiB, owner);
}

/** An ext4, which cannot. */
export function mountExt4(sizeMiB = 600, owner?: Account): Promise<MountedFilesystem> {
  return mountNew(['mke2fs', '-q', '-F', ...['-t', 'ext4']], sizeMiB, owner);
}
