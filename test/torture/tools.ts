import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import type { Home } from '../support/cli.ts';
import { QUICKLY } from './ground.ts';
import { readIfThere, STRACE, type TracedRun } from './held.ts';

/** A program that a command starts, and which of those of its name. */
export interface Tool {
  name: string;
  turn: number;
}

/** Those that are found by PATH and stay one process, or whose own process is of interest alone. */
const NAMES = [
  ...['cp', 'mke2fs', 'e2fsck', 'debugfs', 'find', 'stat', 'rm', 'mount', 'umount', 'sync'],
  ...['unshare', 'nsenter', 'bwrap', 'fuse2fs'],
];
const PATH = '/usr/bin:/bin:/usr/sbin:/sbin';

/**
 * Stands in a tool's place: counts the calls of its name, and has strace look at the one that is asked for. -D: the
 * tool stays its caller's own child, and ends when that one ends.
 */
function wrapper(name: string, real: string, directory: string): string {
  return `#!/bin/sh
turn=1
set -C
until { true >${directory}/${name}.$turn; } 2>/dev/null; do turn=$((turn + 1)); done
. ${directory}/plan
case $tools in
all | ${name}.$turn) exec strace -D ${STRACE.join(' ')} -o ${directory}/${name}.$turn.trace $options ${real} "$@" ;;
esac
exec ${real} "$@"
`;
}

/** Runs a command with strace at one tool that it starts, or at all of them. */
export async function runWithTools(
  home: Home,
  args: readonly string[],
  which: Tool | 'all',
  strace: readonly string[],
): Promise<TracedRun & { tools(): Tool[]; traceOf(tool: Tool): string }> {
  const directory = join(home.directory, 'traced-tools');
  const wrapped = which === 'all' ? NAMES : [which.name];
  const wrappers = join('wrappers', which === 'all' ? 'all' : which.name);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory);
  await run('chown', [`${home.account.uid}:${home.account.gid}`, directory]);
  const tools = which === 'all' ? 'all' : `${which.name}.${which.turn}`;
  await writeFile(join(directory, 'plan'), `tools=${tools}\noptions='${strace.join(' ')}'\n`);
  await makeWrappers(home, wrappers, wrapped, directory);
  const { pid, result } = home.start(args, {
    ...QUICKLY,
    env: { PATH: `${join(home.directory, wrappers)}:/usr/local/bin:/usr/bin:/bin` },
  });
  const traceOf = ({ name, turn }: Tool): string => readIfThere(join(directory, `${name}.${turn}.trace`));
  return {
    pid,
    result,
    traced: result.then(() => {}),
    traceOf,
    tools: () =>
      readdirSync(directory)
        .sort()
        .flatMap((entry) => {
          const [, name, turn] = /^(.+)\.(\d+)$/u.exec(entry) ?? [];
          return name === undefined ? [] : [{ name, turn: Number(turn) }];
        }),
  };
}

async function makeWrappers(
  home: Home,
  wrappers: string,
  names: readonly string[],
  directory: string,
): Promise<void> {
  if (existsSync(join(home.directory, wrappers))) return;
  for (const name of names) {
    const { stdout, exitCode } = await run('sh', ['-c', 'command -v "$0"', name], {
      env: { PATH },
      okExit: 'any',
    });
    if (exitCode !== 0) continue;
    await home.write(join(wrappers, name), wrapper(name, stdout.trim(), directory), 0o755);
  }
}
