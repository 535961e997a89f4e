import type { Insertable, Selectable } from 'kysely';
import { sql } from './compiler.ts';
import type { BootRow } from './schema.ts';
import type { Store } from './store.ts';

/** The schema that brought boots. */
const SINCE = 4;

export type Boot = Selectable<BootRow>;
export type NewBoot = Insertable<BootRow>;

export function insertBoot(store: Store, boot: NewBoot): void {
  store.change(sql.insertInto('boots').values(boot));
}

/** The boots of an image, the newest first. */
export function bootsOf(store: Store, imageId: string, limit: number): Boot[] {
  if (Number(store.pragma('user_version')) < SINCE) return [];
  const all = sql.selectFrom('boots').selectAll().where('image_id', '=', imageId);
  return store.all(all.orderBy('id', 'desc').limit(limit));
}
