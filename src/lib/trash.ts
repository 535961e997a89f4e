import type { Layout } from './layout.ts';
import { removeDirectory, setAside } from './recovery.ts';
import type { Run } from './store/liveness.ts';
import { finishOperation, insertOperation, newOperation } from './store/operations.ts';
import type { TrashRow } from './store/schema.ts';
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

/** Removes for good what has been in the trash for longer than `days`. Call outside the lock. */
export async function expireTrash(ground: TrashGround, days: number): Promise<void> {
  const before = new Date(Date.now() - days * DAY_MS).toISOString();
  // Most often there is nothing, and no reason to write.
  if (trashFrom(ground.store, before).length > 0) await emptyTrash(ground, before);
}

/**
 * Removes for good what was deleted before a time: first the rows, with a journal row that names the directory, then the
 * directories. Killed in between, the next command carries on.
 */
export async function emptyTrash({ store, layout, run }: TrashGround, before: string): Promise<TrashRow[]> {
  const claimed = store.write(() =>
    trashFrom(store, before).flatMap((row) => {
      if (!deleteTrash(store, row.image_id)) return [];
      const artifactDir = trashPlace(layout, row.image_id);
      const draft = { kind: 'empty', imageId: row.image_id, imageName: row.name, artifactDir } as const;
      const operation = newOperation(run.row, draft);
      insertOperation(store, operation);
      return [{ row, id: operation.id, artifactDir }];
    }),
  );
  for (const { id, artifactDir } of claimed) {
    for (const directory of setAside([artifactDir], id)) await removeDirectory(directory);
    store.write(() => finishOperation(store, id, 'succeeded'));
  }
  return claimed.map(({ row }) => row);
}
