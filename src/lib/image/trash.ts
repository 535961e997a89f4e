import { filesOfCachedSteps } from '../cached-steps.ts';
import { BangerError } from '../errors.ts';
import { shortId } from '../id.ts';
import type { Layout } from '../layout.ts';
import { nearestTo } from '../nearest.ts';
import { assertArtifactDirFree, assertNameFree, recordOperation } from '../operation.ts';
import { imageById, insertImage, listImages } from '../store/images.ts';
import { finishOperation } from '../store/operations.ts';
import type { ImageRow, TrashRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { deleteTrash, listTrash } from '../store/trash.ts';
import { renameDurably } from '../system/durable.ts';
import { oneLine } from '../text.ts';
import { claimTrash, removeTrash } from '../trash.ts';
import { trashPlace } from '../trash-place.ts';
import type { Readings, Workspace } from '../workspace.ts';
import { artifactColumns } from './artifacts.ts';
import { freedBytes } from './freed-bytes.ts';
import { assertValidName } from './name.ts';
import { newImage } from './new-image.ts';

const DAY_MS = 86_400_000;
/** What the beginning of an id must look like to be tried as one. */
const ID_PREFIX = /^[0-9a-f]{4,32}$/u;

/** A deleted image as `--json` prints it. */
export interface Trashed {
  id: string;
  name: string;
  path: string;
  deleted_at: string;
  /** When its files are removed. */
  expires_at: string;
}

/** What was deleted and can be had back, the newest first. */
export function listTrashed({ store, layout, config }: Readings): Trashed[] {
  if (store === null) return [];
  return listTrash(store).map(({ image_id, name, deleted_at }) => ({
    id: image_id,
    name,
    path: trashPlace(layout, image_id),
    deleted_at,
    expires_at: new Date(Date.parse(deleted_at) + config.trashDays * DAY_MS).toISOString(),
  }));
}

/**
 * Finds what was deleted by its id, its name (the one that was deleted last) or the beginning of its id.
 * @throws BangerError `not_found`; `usage` for the beginning of several ids
 */
function findTrashed(store: Store, ref: string): TrashRow {
  const all = listTrash(store);
  const exact = all.find(({ image_id, name }) => image_id === ref || name === ref);
  if (exact) return exact;
  const found = ID_PREFIX.test(ref) ? all.filter(({ image_id }) => image_id.startsWith(ref)) : [];
  const [only] = found;
  if (only && found.length === 1) return only;
  if (found.length > 1) {
    throw new BangerError('usage', `${ref} is the beginning of ${found.length} image ids`, {
      hints: found.slice(0, 10).map(({ image_id, name }) => `${shortId(image_id)}  ${name}`),
    });
  }
  const names = [...new Set(all.map(({ name }) => name))];
  throw new BangerError('not_found', `no image '${oneLine(ref).slice(0, 80)}' in the trash`, {
    hints: [...nearestTo(ref, names).map((name) => `did you mean ${name}?`), 'banger trash list'],
  });
}

/**
 * Brings a deleted image back, under its name or another. Killed in between, the next command puts it back into the trash.
 * @throws BangerError `already_exists` when the name is taken by now
 */
export async function restoreImage(
  workspace: Workspace,
  ref: string,
  { name }: { name?: string | undefined },
): Promise<ImageRow> {
  const { store, layout } = workspace;
  if (name !== undefined) assertValidName(name);
  return workspace.locked((lock) => {
    const { row, operation, image } = store.write(() => {
      lock.assertOurs();
      const found = findTrashed(store, ref);
      const wanted = name ?? found.name;
      assertNameFree(store, wanted);
      const restored = { ...newImage(wanted), ...(JSON.parse(found.image) as ImageRow) };
      const artifactDir = restored.artifact_dir ?? '';
      if (trashPlace(layout, found.image_id) !== artifactDir) assertArtifactDirFree(artifactDir);
      return {
        row: found,
        image: { ...restored, name: wanted, updated_at: new Date().toISOString() },
        operation: recordOperation(workspace, {
          kind: 'restore',
          imageId: found.image_id,
          imageName: wanted,
          reservations: [],
          artifactDir,
        }),
      };
    });
    const place = trashPlace(layout, row.image_id);
    if (image.artifact_dir !== null && place !== image.artifact_dir) renameDurably(place, image.artifact_dir);
    store.write(() => {
      lock.assertOurs();
      insertImage(store, image);
      deleteTrash(store, row.image_id);
      finishOperation(store, operation.id, 'succeeded');
    });
    return image;
  });
}

/** What is removed for good, or would be. */
export interface Emptied {
  images: { id: string; name: string }[];
  /** In bytes; what they share with images that stay does not count. */
  freed_bytes: number;
}

/** What emptying the trash of what was deleted before a time (ISO 8601) would remove. */
export async function planEmpty({ store, layout }: Readings, before: string): Promise<Emptied> {
  if (store === null) return { images: [], freed_bytes: 0 };
  const rows = listTrash(store).filter(({ deleted_at }) => deleted_at < before);
  const doomed = rows.map((row) => whereItIs(layout, JSON.parse(row.image) as ImageRow));
  return {
    images: rows.map(({ image_id: id, name }) => ({ id, name })),
    freed_bytes: await freedBytes(doomed, listImages(store), filesOfCachedSteps(store, layout)),
  };
}

/** Removes what was deleted before that time, claimed under the lock and removed outside it. */
export async function emptyTrashBefore(
  workspace: Workspace,
  before: string,
  plan: Emptied,
): Promise<Emptied> {
  const { store } = workspace;
  await removeTrash(workspace, await workspace.locked(() => claimTrash(workspace, before)));
  // Some may have been brought back since they were planned.
  return { ...plan, images: plan.images.filter(({ id }) => imageById(store, id) === undefined) };
}

function whereItIs(layout: Layout, image: ImageRow): ImageRow {
  const place = trashPlace(layout, image.id);
  const has = { initrd: image.initrd_path !== null, modules: image.modules_dir !== null };
  return { ...image, ...artifactColumns(place, { ...has, workSeed: image.work_seed_path !== null }) };
}
