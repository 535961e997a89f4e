import { chmod, chown, mkdir, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';

export interface MountedFilesystem {
  /** Where it is mounted; open to `owner`. */
  directory: string;
  /** Unmounts and mounts it again, as a boot does. */
  remount(): Promise<void>;
  remove(): Promise<void>;
}

export interface MountOptions {
  /** Where its file and its mount point are made. */
  below: string;
  sizeMiB: number;
  owner?: { uid: number; gid: number };
  /** Further options of mkfs. */
  make?: readonly string[];
}

const MKFS = {
  xfs: ['mkfs.xfs', '-q'],
  ext4: ['mke2fs', '-q', '-F', ...['-t', 'ext4']],
} as const;

/**
 * Others that live in mount namespaces of their own (any sandbox does) may keep what was mounted when they began, and a
 * mount of the same file would be the very same filesystem again: of a copy it is a new one.
 */
async function letGo(image: string): Promise<void> {
  const { stdout } = await run('losetup', ['--associated', image]);
  if (stdout === '') return;
  await run('cp', ['--sparse=always', '--', image, `${image}.copy`]);
  await rename(`${image}.copy`, image);
}

/** Makes a filesystem in a sparse file and mounts it. Wants root and a free loop device. */
export async function mountNew(kind: keyof typeof MKFS, options: MountOptions): Promise<MountedFilesystem> {
  const base = await mkdtemp(join(options.below, 'mount-'));
  const image = join(base, 'disk');
  const directory = join(base, 'mounted');
  const [tool, ...args] = MKFS[kind];
  await writeFile(image, '');
  await truncate(image, options.sizeMiB * 1024 * 1024);
  await mkdir(directory);
  await chmod(base, 0o755);
  await run(tool, [...args, ...(options.make ?? []), image]);
  // nouuid: while others keep the one from before a remount, this is another of the same name.
  const mount = () => run('mount', ['-o', kind === 'xfs' ? 'loop,nouuid' : 'loop', image, directory]);
  await mount();
  if (options.owner) await chown(directory, options.owner.uid, options.owner.gid);
  return {
    directory,
    async remount() {
      await run('umount', [directory]);
      await letGo(image);
      await mount();
    },
    async remove() {
      await run('umount', [directory]);
      await rm(base, { recursive: true });
    },
  };
}
