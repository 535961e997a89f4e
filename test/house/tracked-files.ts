import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run } from '../../src/lib/system/process.ts';

export const REPOSITORY = resolve(import.meta.dirname, '../..');

/** Paths of the files that are, or are about to be, in the repository. */
export async function trackedFiles(): Promise<string[]> {
  const { stdout } = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: REPOSITORY,
  });
  return stdout.split('\0').filter((file) => file !== '' && existsSync(join(REPOSITORY, file)));
}

export function readTracked(file: string): string {
  return readFileSync(join(REPOSITORY, file), 'utf8');
}
