import { BangerError } from '../errors.ts';
import { shortId } from '../id.ts';
import { assertImageFree, recordOperation } from '../operation.ts';
import { removeDirectory, setAside } from '../recovery.ts';
import { deleteImage, vmNamesUsing } from '../store/images.ts';
import { finishOperation } from '../store/operations.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Workspace } from '../workspace.ts';
import { findImage } from './find.ts';

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
      hints: [`banger image show ${shortId(image.id)}`],
    });
  }
  assertImageFree(store, image, 'exclusive');
}

/**
 * Deletes images, all or none: first their rows, in one transaction; then the directories of managed ones are renamed
 * aside and removed. Killed in between, the next command carries on. Files of unmanaged images stay.
 */
export async function deleteImages(workspace: Workspace, refs: readonly string[]): Promise<ImageRow[]> {
  const { store } = workspace;
  const { images, doomed } = await workspace.locked((lock) => {
    const decided = store.write(() => {
      lock.assertOurs();
      const found = findImages(store, refs);
      for (const image of found) assertDeletable(store, image);
      return found.map((image) => {
        const { id, artifact_dir } = recordOperation(workspace, {
          kind: 'delete',
          imageId: image.id,
          imageName: image.name,
          reservations: [],
          ...(image.artifact_dir === null ? {} : { artifactDir: image.artifact_dir }),
        });
        deleteImage(store, image.id);
        if (artifact_dir === null) finishOperation(store, id, 'succeeded');
        return { image, operationId: id, directory: artifact_dir };
      });
    });
    const aside = decided.flatMap(({ operationId, directory }) =>
      directory === null ? [] : [{ operationId, directories: setAside([directory], operationId) }],
    );
    return { images: decided.map(({ image }) => image), doomed: aside };
  });
  for (const { operationId, directories } of doomed) {
    for (const directory of directories) await removeDirectory(directory);
    store.write(() => finishOperation(store, operationId, 'succeeded'));
  }
  return images;
}
