import { BangerError } from '../errors.ts';
import { imageByName, imagesOfHistory, insertImage, updateImage } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { assertValidName } from './name.ts';

/** Between a name and the number of one of its generations; no name has it. */
const AT = '@';

/** How an earlier generation is named. */
export function generationName(name: string, generation: number): string {
  return `${name}${AT}${generation}`;
}

/** Whether an image is the one that its name stands for, not an earlier generation. */
export function isCurrent({ name }: Pick<ImageRow, 'name'>): boolean {
  return !name.includes(AT);
}

/** The name that an image has, or had before it was replaced. */
export function nameOf({ name }: Pick<ImageRow, 'name'>): string {
  return name.split(AT, 1)[0] ?? name;
}

/**
 * All generations of a name, the newest first; the current one need not be the newest, nor be there.
 * @throws BangerError `usage` for what is no name; `not_found` when there is none
 */
export function generationsOf(store: Store | null, name: string): ImageRow[] {
  assertValidName(name);
  const found = store === null ? [] : imagesOfHistory(store, name);
  if (found.length > 0) return found;
  throw new BangerError('not_found', `no image was ever named ${name}`, { hints: ['banger image list'] });
}

/** Gives an image its name, and the one that has it now the name of an earlier generation. Call inside a transaction. */
export function publishGeneration(store: Store, image: ImageRow): void {
  const history = imagesOfHistory(store, image.name);
  retire(store, image.name, image.created_at);
  image.generation = 1 + Math.max(0, ...history.map(({ generation }) => generation));
  insertImage(store, image);
}

/** Makes an earlier generation the current one; the current one becomes an earlier one. Call inside a transaction. */
export function makeCurrent(store: Store, image: ImageRow, at: string): ImageRow {
  const name = nameOf(image);
  retire(store, name, at);
  const current = { ...image, name, updated_at: at };
  updateImage(store, current);
  return current;
}

function retire(store: Store, name: string, at: string): void {
  const current = imageByName(store, name);
  if (current === undefined) return;
  updateImage(store, { ...current, name: generationName(name, current.generation), updated_at: at });
}
