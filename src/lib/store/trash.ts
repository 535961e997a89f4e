import { sql } from './compiler.ts';
import type { TrashRow } from './schema.ts';
import type { Store } from './store.ts';

/** What was deleted, the newest first. */
export function listTrash(store: Store): TrashRow[] {
  return store.all(sql.selectFrom('trash').selectAll().orderBy('deleted_at', 'desc').orderBy('image_id'));
}

/** What was deleted before a time. */
export function trashFrom(store: Store, before: string): TrashRow[] {
  return store.all(
    sql.selectFrom('trash').selectAll().where('deleted_at', '<', before).orderBy('deleted_at'),
  );
}

export function trashById(store: Store, imageId: string): TrashRow | undefined {
  return store.get(sql.selectFrom('trash').selectAll().where('image_id', '=', imageId));
}

export function insertTrash(store: Store, row: TrashRow): void {
  store.change(sql.insertInto('trash').values(row));
}

/** False when it is not there any more. */
export function deleteTrash(store: Store, imageId: string): boolean {
  return store.change(sql.deleteFrom('trash').where('image_id', '=', imageId)) === 1;
}
