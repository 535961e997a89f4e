import { cp, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import type { Account } from './test-user.ts';

export const REPOSITORY = resolve(import.meta.dirname, '../..');
/** What the program needs to run, and what the tour of the README copies. */
const PROGRAM = ['bin', 'dist', 'node_modules', 'oclif.manifest.json', 'package.json', 'README.md'];

async function mayRead(account: Account, path: string): Promise<boolean> {
  const identity = ['--reuid', String(account.uid), '--regid', String(account.gid), '--clear-groups'];
  const { exitCode } = await run('setpriv', [...identity, 'test', '-r', path], { okExit: 'any' });
  return exitCode === 0;
}

/** The repository, or a copy of the program below `directory` where the repository is private to root. */
export async function programFor(user: Account, directory: string): Promise<string> {
  if (await mayRead(user, join(REPOSITORY, 'package.json'))) return REPOSITORY;
  const program = join(directory, 'program');
  await mkdir(program);
  for (const part of PROGRAM) {
    await cp(join(REPOSITORY, part), join(program, part), { recursive: true, verbatimSymlinks: true });
  }
  return program;
}
