import { sql } from './compiler.ts';
import type { ImageRow } from './schema.ts';
import type { Store } from './store.ts';

/** The schema before this one had no labels. */
function complete(row: ImageRow): ImageRow {
  return { ...row, labels: row.labels ?? '{}' };
}

function completeAny(row: ImageRow | undefined): ImageRow | undefined {
  return row && complete(row);
}

export function listImages(store: Store): ImageRow[] {
  return store.all(sql.selectFrom('images').selectAll().orderBy('name')).map(complete);
}

export function listImageNames(store: Store): string[] {
  return store.all(sql.selectFrom('images').select('name').orderBy('name')).map((row) => row.name);
}

/** The image of a name and its earlier generations, the newest first. */
export function imagesOfHistory(store: Store, name: string): ImageRow[] {
  const images = sql.selectFrom('images').selectAll().orderBy('generation', 'desc');
  return store
    .all(
      images.where(({ eb, or, and }) =>
        or([eb('name', '=', name), and([eb('name', '>=', `${name}@`), eb('name', '<', `${name}A`)])]),
      ),
    )
    .map(complete);
}

export function imageById(store: Store, id: string): ImageRow | undefined {
  return completeAny(store.get(sql.selectFrom('images').selectAll().where('id', '=', id)));
}

export function imageByName(store: Store, name: string): ImageRow | undefined {
  return completeAny(store.get(sql.selectFrom('images').selectAll().where('name', '=', name)));
}

export function imageByArtifactDir(store: Store, path: string): ImageRow | undefined {
  return completeAny(store.get(sql.selectFrom('images').selectAll().where('artifact_dir', '=', path)));
}

/** The images whose id begins with `prefix` (hex digits only: no LIKE wildcard is possible). */
export function imagesByIdPrefix(store: Store, prefix: string): ImageRow[] {
  return store
    .all(sql.selectFrom('images').selectAll().where('id', 'like', `${prefix}%`).orderBy('name'))
    .map(complete);
}

export function insertImage(store: Store, row: ImageRow): void {
  store.change(sql.insertInto('images').values(row));
}

/** Writes all of a row but its id; false when no such image is left. */
export function updateImage(store: Store, { id, ...rest }: ImageRow): boolean {
  return store.change(sql.updateTable('images').set(rest).where('id', '=', id)) === 1;
}

export function deleteImage(store: Store, id: string): void {
  store.change(sql.deleteFrom('images').where('id', '=', id));
}

export function vmNamesUsing(store: Store, imageId: string): string[] {
  return store
    .all(sql.selectFrom('vms').select('name').where('image_id', '=', imageId).orderBy('name'))
    .map((row) => row.name);
}

/** The names of all VMs, by the id of the image they were made from. */
export function vmNamesByImage(store: Store): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { image_id, name } of store.all(
    sql.selectFrom('vms').select(['image_id', 'name']).orderBy('name'),
  )) {
    names.set(image_id, [...(names.get(image_id) ?? []), `vm ${name}`]);
  }
  return names;
}
