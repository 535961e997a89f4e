import { inject } from 'vitest';
import { type ProcessResult, run } from '../../src/lib/system/process.ts';
import type { Home } from './cli.ts';

export interface OwnerOptions {
  /** Added to what little cron gives. */
  env?: Readonly<Record<string, string>>;
  /** What runs the lines, with its options. */
  shell?: readonly string[];
  /** Below the home. */
  cwd?: string;
}

/** Runs lines as cron does for the owner of a home: hardly an environment, no terminal, `banger` on PATH. */
export async function runAsOwner(
  home: Home,
  lines: string,
  { env = {}, shell = ['/bin/sh', '-e'], cwd = home.directory }: OwnerOptions = {},
): Promise<ProcessResult> {
  const [program, args] = home.commandLine([]);
  await home.write('bin/banger', `#!/bin/sh\nexec ${[program, ...args].join(' ')} "$@"\n`, 0o755);
  const { uid, gid } = home.account;
  const isRoot = inject('testRun').root !== null;
  const identity = isRoot ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'] : [];
  const environment = {
    HOME: home.directory,
    SHELL: '/bin/sh',
    PATH: `${home.directory}/bin:/usr/bin:/bin`,
    ...env,
  };
  const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return run('env', ['-i', ...words, ...identity, ...shell, '-c', lines], { cwd, okExit: 'any' });
}
