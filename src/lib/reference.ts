import { BangerError } from './errors.ts';
import { shortId } from './id.ts';
import { nearestTo } from './nearest.ts';
import { oneLine } from './text.ts';

/** What a prefix of an id must look like to be tried as one. */
const ID_PREFIX = /^[0-9a-f]{4,31}$/u;

/** Where things of a kind are looked for. */
export interface Shelf<T> {
  byId(id: string): T | undefined;
  byName(name: string): T | undefined;
  /** @param prefix hex digits only */
  byIdPrefix(prefix: string): T[];
  names(): string[];
}

/**
 * Finds a thing by exact id, exact name, or a unique prefix (4 digits or more) of its id, in this order.
 * @param shelf null where nothing was ever made
 * @param kind as messages and commands name it: `banger KIND list`
 * @throws BangerError `not_found` with the nearest names; `usage` with the candidates of an ambiguous prefix
 */
export function findByReference<T extends { id: string; name: string }>(
  shelf: Shelf<T> | null,
  kind: 'image' | 'vm',
  ref: string,
): T {
  const what = kind === 'vm' ? 'VM' : kind;
  if (shelf !== null) {
    const exact = shelf.byId(ref) ?? shelf.byName(ref);
    if (exact !== undefined) return exact;
    if (ID_PREFIX.test(ref)) {
      const candidates = shelf.byIdPrefix(ref);
      const [only] = candidates;
      if (candidates.length === 1 && only) return only;
      if (candidates.length > 1) throw ambiguous(ref, what, candidates);
    }
  }
  const nearest = nearestTo(ref, shelf?.names() ?? []);
  throw new BangerError('not_found', `no ${what} '${oneLine(ref).slice(0, 80)}'`, {
    hints: [...nearest.map((name) => `did you mean ${name}?`), `banger ${kind} list`],
    details: { nearest },
  });
}

function ambiguous(
  ref: string,
  what: string,
  candidates: readonly { id: string; name: string }[],
): BangerError {
  return new BangerError('usage', `${ref} is the beginning of ${candidates.length} ${what} ids`, {
    hints: candidates.slice(0, 10).map(({ id, name }) => `${shortId(id)}  ${name}`),
    details: { candidates: candidates.map(({ id, name }) => ({ id, name })) },
  });
}
