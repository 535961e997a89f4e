import { withVolume } from '../ext4/volume.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Readings } from '../workspace.ts';
import { findImage } from './find.ts';
import { comparePackages, type PackageChanges } from './package-changes.ts';
import { readPackages } from './package-database.ts';
import { compareTrees, type TreeChanges } from './tree-changes.ts';

type Compared = Pick<ImageRow, 'id' | 'name' | 'kernel_version' | 'rootfs_path'>;

/** What is not the same in the root filesystems of two images. */
export interface ImageDiff {
  from: Compared;
  to: Compared;
  /** Whether nothing is another; times do not count. */
  identical: boolean;
  packages: PackageChanges;
  files: TreeChanges;
}

/**
 * Compares two images' packages and files. Neither is mounted, nor changed.
 * @throws BangerError `not_found` or `usage`, as findImage; `corrupt`; `preflight_failed` for a filesystem that cannot be read,
 * as one that is in use
 */
export function diffImages(
  { store }: Pick<Readings, 'store'>,
  { from, to, signal }: { from: string; to: string; signal?: AbortSignal },
): Promise<ImageDiff> {
  const [before, after] = [compared(findImage(store, from)), compared(findImage(store, to))];
  return withVolume(before.rootfs_path, (a) =>
    withVolume(after.rootfs_path, async (b) => {
      const packages = comparePackages(readPackages(a), readPackages(b));
      const files = await compareTrees(a, b, { signal });
      return { from: before, to: after, identical: isNothing(packages) && isNothing(files), packages, files };
    }),
  );
}

function isNothing({ added, removed, changed }: Record<'added' | 'removed' | 'changed', unknown[]>): boolean {
  return added.length + removed.length + changed.length === 0;
}

function compared({ id, name, kernel_version, rootfs_path }: ImageRow): Compared {
  return { id, name, kernel_version, rootfs_path };
}
