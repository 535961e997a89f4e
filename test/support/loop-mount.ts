import { chmod, chown, mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
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

/** mkfs.xfs(8): reflink lets files share blocks. */
const MKFS = {
  xfs: ['mkfs.xfs', '-q', ...['-m', 'reflink=1']],
  ext4: ['mke2fs', '-q', '-F', ...['-t', 'ext4']],
} as const;

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
  const mount = () => run('mount', ['-o', 'loop', image, directory]);
  await mount();
  if (options.owner) await chown(directory, options.owner.uid, options.owner.gid);
  return {
    directory,
    async remount() {
      await run('umount', [directory]);
      await mount();
    },
    async remove() {
      await run('umount', [directory]);
      await rm(base, { recursive: true });
    },
  };
}
