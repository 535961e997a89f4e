import { join } from 'node:path';
import { BangerError } from '../errors.ts';
import { shortId } from '../id.ts';
import type { Layout } from '../layout.ts';
import { assertImageFree, recordOperation } from '../operation.ts';
import { isBelow, removeDirectory, setAside } from '../recovery.ts';
import { deleteImage, imagesOfHistory, vmNamesUsing } from '../store/images.ts';
import { finishOperation } from '../store/operations.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { insertTrash } from '../store/trash.ts';
import { isThere } from '../system/filesystem.ts';
import { moveToTrash } from '../trash-place.ts';
import type { Workspace } from '../workspace.ts';
import { findImage } from './find.ts';
import { isCurrent, nameOf } from './generation.ts';

/** Resolves references to images, each once. */
export function findImages(store: Store | null, refs: readonly string[]): ImageRow[] {
  const found = refs.map((ref) => findImage(store, ref));
  return found.filter((image, index) => found.findIndex((other) => other.id === image.id) === index);
}

/** Throws while something needs the image (exit 5). */
function assertDeletable(store: Store, image: ImageRow): void {
  const vms = vmNamesUsing(store, image.id);
  if (vms.length > 0) {
    throw new BangerError(
      'conflict',
      `image ${image.name} is in use by VM${vms.length === 1 ? '' : 's'} ${vms.join(', ')}`,
      {
        hints: ['delete what uses it first', `banger image show ${shortId(image.id)}`],
        details: { vms },
      },
    );
  }
  if (image.protected) {
    throw new BangerError('conflict', `image ${image.name} is protected`, {
      hints: [`banger image unprotect ${image.name}`],
    });
  }
  assertImageFree(store, image, 'exclusive');
}

/**
 * The directory of a managed image, null where it is gone. In a state directory that was copied the rows still name the
 * files of the first one, which are not to be removed from here.
 * @throws BangerError `corrupt` when its files are not in this state directory
 */
function directoryToRemove({ imagesDir }: Layout, { name, artifact_dir }: ImageRow): string | null {
  if (artifact_dir === null || isBelow(imagesDir, artifact_dir)) return artifact_dir;
  if (!isThere(artifact_dir)) return null;
  throw new BangerError(
    'corrupt',
    `image ${name} has its files in another state directory: ${artifact_dir}`,
    {
      hints: ['banger check --repair'],
    },
  );
}

export interface DeleteOptions {
  /** Removes the files at once: nothing can be had back. */
  purge: boolean;
}

/** Deletes images by their references, and tells of earlier generations that stay. */
export async function deleteImages(
  workspace: Workspace,
  refs: readonly string[],
  options: DeleteOptions,
): Promise<ImageRow[]> {
  const { store, notify } = workspace;
  const deleted = await removeImages(workspace, { kind: 'delete', ...options }, () =>
    findImages(store, refs),
  );
  for (const name of new Set(deleted.map(nameOf))) {
    const left = imagesOfHistory(store, name).filter((image) => !isCurrent(image)).length;
    const what = left === 1 ? 'an earlier generation' : `${left} earlier generations`;
    if (left > 0) notify(`${what} of ${name} left: banger image history ${name}`);
  }
  return deleted;
}

/**
 * Removes images, all or none: first their rows, in one transaction; then the directories of managed ones are moved to
 * the trash, or renamed aside and removed. Killed in between, the next command carries on. Files of unmanaged images stay.
 */
export async function removeImages(
  workspace: Workspace,
  { kind, purge }: DeleteOptions & { kind: 'delete' | 'prune' },
  choose: () => ImageRow[],
): Promise<ImageRow[]> {
  const { store, layout } = workspace;
  const keeps = !purge && workspace.config.trashDays > 0;
  const deleted_at = new Date().toISOString();
  const { images, doomed } = await workspace.locked((lock) => {
    const decided = store.write(() => {
      lock.assertOurs();
      const found = choose();
      for (const image of found) assertDeletable(store, image);
      const ownDirectories = found.map((image) => directoryToRemove(layout, image));
      return found.map((image, index) => {
        const artifactDir = ownDirectories[index] ?? null;
        const { id, artifact_dir } = recordOperation(workspace, {
          kind,
          imageId: image.id,
          imageName: image.name,
          reservations: [],
          ...(artifactDir === null ? {} : { artifactDir }),
        });
        deleteImage(store, image.id);
        const isKept = keeps && artifact_dir === join(layout.imagesDir, image.id) && isThere(artifact_dir);
        if (isKept) {
          const { id: image_id, name } = image;
          insertTrash(store, { image_id, name, image: JSON.stringify(image), deleted_at });
        }
        if (artifact_dir === null) finishOperation(store, id, 'succeeded');
        return { image, operationId: id, directory: artifact_dir, isKept };
      });
    });
    for (const { image, isKept } of decided) if (isKept) moveToTrash(layout, image.id);
    const aside = decided.flatMap(({ operationId, directory, isKept }) =>
      directory === null
        ? []
        : [{ operationId, directories: isKept ? [] : setAside([directory], operationId) }],
    );
    return { images: decided.map(({ image }) => image), doomed: aside };
  });
  for (const { operationId, directories } of doomed) {
    for (const directory of directories) await removeDirectory(directory);
    store.write(() => finishOperation(store, operationId, 'succeeded'));
  }
  return images;
}
