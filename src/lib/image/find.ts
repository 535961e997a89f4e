import { findByReference } from '../reference.ts';
import { imageById, imageByName, imagesByIdPrefix, listImageNames } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';

/**
 * @param store null where nothing was ever registered
 * @throws BangerError `not_found`, `usage`: as findByReference
 */
export function findImage(store: Store | null, ref: string): ImageRow {
  const shelf = store && {
    byId: (id: string) => imageById(store, id),
    byName: (name: string) => imageByName(store, name),
    byIdPrefix: (prefix: string) => imagesByIdPrefix(store, prefix),
    names: () => listImageNames(store),
  };
  return findByReference(shelf, 'image', ref);
}
