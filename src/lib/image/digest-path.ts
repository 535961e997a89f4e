import { realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { openContext } from '../context/context.ts';
import { BangerError, errnoOf } from '../errors.ts';

/** Where digests of files are remembered, and what ends the reading. */
export interface DigestGround {
  cacheDir: string;
  signal: AbortSignal;
}

/**
 * A file's or a tree's content and modes, never its times or owners; what has not changed is not read again.
 * @returns SHA-256 in hex; null where it cannot be read whole, which whoever copies it will tell, or do without
 */
export async function digestPath(path: string, { cacheDir, signal }: DigestGround): Promise<string | null> {
  try {
    const real = realpathSync(path);
    const context = openContext({ directory: dirname(real), ignores: false, cacheDir, signal });
    const selection = await context.resolve([basename(real).replaceAll(/[\\*?[\]]/gu, '\\$&')]);
    return (await selection.digest()).sha256;
  } catch (error) {
    if (error instanceof BangerError && error.code !== 'cancelled') return null;
    if (errnoOf(error) !== undefined) return null;
    throw error;
  }
}
