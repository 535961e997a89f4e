import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type MountedFilesystem, mountNew } from '../../test/support/loop-mount.ts';
import type { Bench } from './measure.ts';

/** A new filesystem in a sparse file, for as long as it is used. XFS shares extents between files. */
export async function withFilesystem<T>(
  kind: 'xfs' | 'ext4',
  sizeGiB: number,
  { work }: Bench,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const below = join(work, kind);
  await mkdir(below);
  const mounted: MountedFilesystem = await mountNew(kind, { below, sizeMiB: sizeGiB * 1024 });
  try {
    return await use(mounted.directory);
  } finally {
    await mounted.remove();
    await rm(below, { recursive: true });
  }
}
