import type { Layout } from './layout.ts';
import { removeDirectory, setAside } from './recovery.ts';
import type { Run } from './store/liveness.ts';
import { finishOperation, insertOperation, newOperation } from './store/operations.ts';
import type { Store } from './store/store.ts';
import { deleteTrash, trashFrom } from './store/trash.ts';
import { trashPlace } from './trash-place.ts';

const DAY_MS = 86_400_000;

/** What the trash lies in. */
export interface TrashGround {
  store: Store;
  layout: Layout;
  run: Run;
}

/** A deleted image that nobody can have back any more: its row is gone, the journal names its directory. */
export interface ClaimedTrash {
  operationId: string;
  artifactDir: string;
}

/** Claims what has been in the trash for longer than `days`. Call while holding the lock, as `claimTrash`. */
export function claimExpired(ground: TrashGround, days: number): ClaimedTrash[] {
  const before = new Date(Date.now() - days * DAY_MS).toISOString();
  // Most often there is nothing, and no reason to write.
  return trashFrom(ground.store, before).length > 0 ? claimTrash(ground, before) : [];
}

/**
 * Claims what was deleted before a time. Call while holding the lock: else one of them may be on its way back. Killed
 * after it, the next command carries on. Then `removeTrash` outside the lock.
 */
export function claimTrash({ store, layout, run }: TrashGround, before: string): ClaimedTrash[] {
  return store.write(() =>
    trashFrom(store, before).map(({ image_id, name }) => {
      deleteTrash(store, image_id);
      const artifactDir = trashPlace(layout, image_id);
      const draft = { kind: 'empty', imageId: image_id, imageName: name, artifactDir } as const;
      const operation = newOperation(run.row, draft);
      insertOperation(store, operation);
      return { operationId: operation.id, artifactDir };
    }),
  );
}

/** Removes what was claimed. */
export async function removeTrash(
  { store }: Pick<TrashGround, 'store'>,
  claimed: readonly ClaimedTrash[],
): Promise<void> {
  for (const { operationId, artifactDir } of claimed) {
    for (const directory of setAside([artifactDir], operationId)) await removeDirectory(directory);
    store.write(() => finishOperation(store, operationId, 'succeeded'));
  }
}
