import { existsSync, readSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { BangerError } from '../errors.ts';
import { openRegular } from '../system/regular-file.ts';
import { formatBytes, oneLine } from '../text.ts';

/** In bytes. The longest that people write have some thousand lines. */
const LARGEST = 1_048_576;
/** In this order, as Buildah looks for them (buildah-build(1)). */
const NAMES = ['Containerfile', 'Dockerfile'] as const;

/**
 * The recipe to build a context with: the file that is named, else its Containerfile, else its Dockerfile.
 * @throws BangerError `preflight_failed` where there is none that can be read
 */
export function findRecipeFile(context: string, named?: string): string {
  if (named !== undefined) return resolve(named);
  const found = NAMES.map((name) => join(resolve(context), name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new BangerError('preflight_failed', `${oneLine(context)} has neither a ${NAMES.join(' nor a ')}`, {
    hints: ['write one there that begins with FROM, or name the one that is meant'],
  });
}

/**
 * The text of a recipe.
 * @throws BangerError `preflight_failed` where it cannot be read, `usage` where it is no text of at most 1 MiB
 */
export function readRecipeFile(path: string): string {
  const file = openRegular(path);
  try {
    return recipeText(path, file.size, () => file.readAt(0, file.size));
  } finally {
    file.close();
  }
}

/**
 * The same of what comes on standard input.
 * @throws BangerError `usage`
 */
export function readRecipeInput(): string {
  const buffer = Buffer.alloc(LARGEST + 1);
  let filled = 0;
  for (let count = 1; count > 0 && filled < buffer.length; filled += count) {
    count = readSync(STDIN, buffer, filled, buffer.length - filled, null);
  }
  return recipeText('standard input', filled, () => buffer.subarray(0, filled));
}

const STDIN = 0;

function recipeText(name: string, size: number, read: () => Buffer): string {
  if (size > LARGEST) {
    throw new BangerError(
      'usage',
      `${oneLine(name)} is ${formatBytes(size)}, and a recipe at most ${formatBytes(LARGEST)}`,
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(read());
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new BangerError('usage', `${oneLine(name)} is not a text in UTF-8`, { cause: error });
  }
}
