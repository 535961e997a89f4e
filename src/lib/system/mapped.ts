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
  if (process.geteuid?.() === 0) return run(file, args, options);
  return run('unshare', ['--map-auto', '--map-root-user', '--', file, ...args], options);
}
