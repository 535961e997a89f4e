import { imageById, vmNamesUsing } from '../store/images.ts';
import { isRunAlive } from '../store/liveness.ts';
import { reservationsOf } from '../store/reservations.ts';
import type { Readings } from '../workspace.ts';
import { type ArtifactKind, bootSetOf } from './artifacts.ts';
import { findImage } from './find.ts';
import { type FileSize, type ImageJson, imageJson, sizeOf } from './listing.ts';

/** All that is known of one image. */
export type ShownImage = ImageJson & {
  /** By artifact that the image has; null when its file is missing. Directories are not added up. */
  sizes: Partial<Record<ArtifactKind, FileSize | null>>;
  base_image_exists: boolean;
  vms: string[];
  operations: { id: string; kind: string; image_name: string; mode: string }[];
};

/** @throws BangerError `not_found` or `usage`, as findImage */
export function showImage({ store, layout }: Pick<Readings, 'store' | 'layout'>, ref: string): ShownImage {
  const row = findImage(store, ref);
  if (store === null) throw new Error('an image was found in no registry');
  const sizes: ShownImage['sizes'] = {};
  for (const [kind, path] of Object.entries(bootSetOf(row)) as [ArtifactKind, string | null][]) {
    if (path !== null) sizes[kind] = sizeOf(path);
  }
  return store.snapshot(() => ({
    ...imageJson(row),
    sizes,
    base_image_exists: row.base_image_id !== null && imageById(store, row.base_image_id) !== undefined,
    vms: vmNamesUsing(store, row.id),
    operations: reservationsOf(store, 'image', row.id)
      .filter(({ operation }) => isRunAlive(layout.liveDir, operation.run_id))
      .map(({ mode, operation: { id, kind, image_name } }) => ({ id, kind, image_name, mode })),
  }));
}
