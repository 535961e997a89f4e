import { BangerError } from '../errors.ts';
import { shortId } from '../id.ts';
import { nearestTo } from '../nearest.ts';
import { imageById, imageByName, imagesByIdPrefix, listImageNames } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { oneLine } from '../text.ts';

/** What a prefix of an id must look like to be tried as one. */
const ID_PREFIX = /^[0-9a-f]{4,31}$/u;

/**
 * Finds an image by exact id, exact name, or a unique prefix (4 digits or more) of its id, in this order.
 * @param store null where nothing was ever registered
 * @throws BangerError `not_found` with the nearest names; `usage` with the candidates of an ambiguous prefix
 */
export function findImage(store: Store | null, ref: string): ImageRow {
  if (store !== null) {
    const exact = imageById(store, ref) ?? imageByName(store, ref);
    if (exact !== undefined) return exact;
    if (ID_PREFIX.test(ref)) {
      const candidates = imagesByIdPrefix(store, ref);
      const [only] = candidates;
      if (candidates.length === 1 && only) return only;
      if (candidates.length > 1) throw ambiguous(ref, candidates);
    }
  }
  throw notFound(ref, store === null ? [] : listImageNames(store));
}

function ambiguous(ref: string, candidates: readonly ImageRow[]): BangerError {
  return new BangerError('usage', `${ref} is the beginning of ${candidates.length} image ids`, {
    hints: candidates.slice(0, 10).map((image) => `${shortId(image.id)}  ${image.name}`),
    details: { candidates: candidates.map(({ id, name }) => ({ id, name })) },
  });
}

function notFound(ref: string, names: readonly string[]): BangerError {
  const nearest = nearestTo(ref, names);
  return new BangerError('not_found', `no image '${oneLine(ref).slice(0, 80)}'`, {
    hints: [...nearest.map((name) => `did you mean ${name}?`), 'banger image list'],
    details: { nearest },
  });
}
