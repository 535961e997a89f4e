import { BangerError } from '../errors.ts';
import { withVolume } from '../ext4/volume.ts';
import type { ImageRow } from '../store/schema.ts';
import { comparePackages, type PackageChanges } from './package-changes.ts';
import { type PackageDatabase, readPackages } from './package-database.ts';

/**
 * By image id what became of the packages since the generation before; null where there is none before, or either cannot be read
 * now: a history must not fail for an image that is missing, damaged or in use.
 * @param generations the newest first
 */
export async function packageChangesOf(
  generations: readonly Pick<ImageRow, 'id' | 'rootfs_path'>[],
): Promise<Map<string, PackageChanges | null>> {
  const changes = new Map<string, PackageChanges | null>();
  let before: PackageDatabase | null = null;
  for (const { id, rootfs_path } of generations.toReversed()) {
    const database = await packagesOf(rootfs_path);
    changes.set(id, before === null || database === null ? null : comparePackages(before, database));
    before = database;
  }
  return changes;
}

async function packagesOf(rootfs: string): Promise<PackageDatabase | null> {
  try {
    return await withVolume(rootfs, readPackages);
  } catch (error) {
    if (!(error instanceof BangerError)) throw error;
    return null;
  }
}
