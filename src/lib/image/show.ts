import { imageById, vmNamesUsing } from '../store/images.ts';
import { isRunAlive } from '../store/liveness.ts';
import { reservationsOf } from '../store/reservations.ts';
import type { Readings } from '../workspace.ts';
import { type ArtifactKind, bootSetOf } from './artifacts.ts';
import { findImage } from './find.ts';
import { type FileSize, type ImageJson, imageJson, sizeOf } from './listing.ts';
import { knownTreeDigest, treeDigestOf } from './remembered-tree.ts';
import { sourceDate } from './source-date.ts';

/** All that is known of one image. */
export type ShownImage = ImageJson & {
  /** By artifact that the image has; null when its file is missing. Directories are not added up. */
  sizes: Partial<Record<ArtifactKind, FileSize | null>>;
  base_image_exists: boolean;
  vms: string[];
  operations: { id: string; kind: string; image_name: string; mode: string }[];
  /** SHA-256, in hex, of the tree of its root filesystem; null where it was not computed yet. */
  tree_digest: string | null;
  /** The SOURCE_DATE_EPOCH that times count up to in it, in seconds; null: times do not count. */
  tree_digest_epoch: number | null;
};

export interface ShowOptions {
  /** Whether the digest of its tree is computed where it is not known. */
  treeDigest?: boolean | undefined;
}

/**
 * @throws BangerError `not_found` or `usage`, as findImage; as treeDigestOf when a digest is wanted
 */
export async function showImage(
  { store, layout, config }: Readings,
  ref: string,
  { treeDigest = false }: ShowOptions = {},
): Promise<ShownImage> {
  const row = findImage(store, ref);
  if (store === null) throw new Error('an image was found in no registry');
  const sizes: ShownImage['sizes'] = {};
  for (const [kind, path] of Object.entries(bootSetOf(row)) as [ArtifactKind, string | null][]) {
    if (path !== null) sizes[kind] = sizeOf(path);
  }
  const tree = { newest: sourceDate(), cacheDir: config.cacheDir };
  const digest = treeDigest
    ? await treeDigestOf(row.rootfs_path, tree)
    : knownTreeDigest(row.rootfs_path, tree);
  return store.snapshot(() => ({
    ...imageJson(row),
    sizes,
    base_image_exists: row.base_image_id !== null && imageById(store, row.base_image_id) !== undefined,
    vms: vmNamesUsing(store, row.id),
    operations: reservationsOf(store, 'image', row.id)
      .filter(({ operation }) => isRunAlive(layout.liveDir, operation.run_id))
      .map(({ mode, operation: { id, kind, image_name } }) => ({ id, kind, image_name, mode })),
    tree_digest: digest,
    tree_digest_epoch: tree.newest,
  }));
}
