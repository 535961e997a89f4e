import { type ProcessResult, type RunOptions, run } from './process.ts';

/**
 * Runs a tool where the ids that a guest gives its files are the tool's own, so that it may read and remove what belongs to
 * them: as root in a user namespace with the subordinate ids of the user, or, for root, as it is.
 * @throws BangerError `tool_failed`
 */
export function runMapped(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ProcessResult> {
  const [command, ...rest] = mapped([file, ...args]);
  return run(command, rest, options);
}

/** The command that runs another one there. */
export function mapped([file, ...args]: readonly [string, ...string[]]): [string, ...string[]] {
  if (process.geteuid?.() === 0) return [file, ...args];
  return ['unshare', '--map-auto', '--map-root-user', '--', file, ...args];
}
