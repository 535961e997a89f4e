import { listImages, vmNamesUsing } from '../store/images.ts';
import { operationThatMade } from '../store/operations.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Readings } from '../workspace.ts';
import { ownBytes } from './freed-bytes.ts';
import { generationsOf, isCurrent } from './generation.ts';
import { type ImageJson, imageJson, sizeOf } from './listing.ts';
import type { PackageChanges } from './package-changes.ts';
import { packageChangesOf } from './package-history.ts';

/** One generation of a name. */
export type Generation = ImageJson & {
  current: boolean;
  /** What its disks take, in bytes; null where a file is missing. */
  allocated_bytes: number | null;
  /** What they have that no other image has, in bytes. */
  own_bytes: number | null;
  /** How long it took to make; null where the journal does not know any more. */
  duration_ms: number | null;
  vms: string[];
  /** Since the generation before; null where there is none before, or either cannot be read. */
  package_changes: PackageChanges | null;
};

/**
 * The generations of a name, the newest first.
 * @throws BangerError `not_found` when there is none
 */
export async function historyOf({ store }: Pick<Readings, 'store'>, name: string): Promise<Generation[]> {
  const generations = generationsOf(store, name);
  if (store === null) throw new Error('generations were found in no registry');
  const own = await ownBytes(generations, listImages(store));
  const packages = await packageChangesOf(generations);
  return generations.map((image): Generation => {
    const allocated = allocatedBytes(image);
    return {
      ...imageJson(image),
      current: isCurrent(image),
      allocated_bytes: allocated,
      own_bytes: allocated === null ? null : (own.get(image.id) ?? null),
      duration_ms: durationOf(operationThatMade(store, image.id)),
      vms: vmNamesUsing(store, image.id),
      package_changes: packages.get(image.id) ?? null,
    };
  });
}

function allocatedBytes({ rootfs_path, work_seed_path }: ImageRow): number | null {
  const sizes = [rootfs_path, work_seed_path].flatMap((path) => (path === null ? [] : [sizeOf(path)]));
  return sizes.reduce<number | null>(
    (sum, size) => (sum === null || size === null ? null : sum + size.allocated),
    0,
  );
}

function durationOf(
  operation: { started_at: string; finished_at: string | null } | undefined,
): number | null {
  if (!operation?.finished_at) return null;
  return Date.parse(operation.finished_at) - Date.parse(operation.started_at);
}
