import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Everything below a directory, in an order that is always the same, the directory itself left out. Not readdir's own
 * `recursive`: that goes through symbolic links, out of the tree and around in circles.
 */
export async function* walkTree(
  directory: string,
): AsyncGenerator<{ name: string; path: string; stats: BigIntStats }> {
  const names = await readdir(directory);
  for (const name of names.sort()) {
    const path = join(directory, name);
    const stats = await lstat(path, { bigint: true });
    yield { name, path, stats };
    if (stats.isDirectory()) yield* walkTree(path);
  }
}
