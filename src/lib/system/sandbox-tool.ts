import type { RunTool } from './ext4.ts';
import { run, toolFailed } from './process.ts';
import type { Holder } from './sandbox-holder.ts';

/** What stands before a program in the namespaces: it dies with nsenter, whose own signal the change of ids clears. */
export const LIFELINE = ['setpriv', '--pdeathsig', 'KILL', '--'];

/**
 * What stands before a tool: it ends if nsenter ended before the signal was asked for, since a parent outside the PID
 * namespace has the number 0 (getppid(2)) and a foster parent has not.
 */
const TOOL_SCRIPT = `
[ "$PPID" -eq 0 ] || exit 143
[ -z "$1" ] || cd -- "$1" || exit 1
shift
exec "$@"
`;

/** The arguments of nsenter(1) that lead into a holder's namespaces. */
export function nsenterArguments(holder: Holder): string[] {
  return [
    ...['--target', String(holder.target)],
    '--mount',
    '--pid',
    ...(process.geteuid?.() === 0 ? [] : ['--user']),
    '--',
  ];
}

/** Runs tools of the host in a holder's namespaces, where its mounts are and ids are mapped. */
export function toolRunner(holder: Holder, signal: AbortSignal): RunTool {
  const enter = nsenterArguments(holder);
  return async (file, args, options = {}) => {
    const { cwd = '', okExit = [0], ...rest } = options;
    const result = await run(
      'nsenter',
      [...enter, ...LIFELINE, '/bin/sh', '-c', TOOL_SCRIPT, 'tool', cwd, file, ...args],
      { signal, ...rest, okExit: 'any' },
    );
    if (okExit !== 'any' && !okExit.includes(result.exitCode)) throw toolFailed(file, result);
    return result;
  };
}
