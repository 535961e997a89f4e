import { BangerError } from '../errors.ts';
import { lastLines } from '../system/process.ts';
import type { StepOptions } from '../system/sandbox.ts';
import { BUSYBOX, busyboxBind } from './guest-copy.ts';
import type { Provisioning } from './provision.ts';

/**
 * Shell functions: `make_directory PATH OWNER` makes a directory and those above it that are missing, all of that owner, as
 * COPY and WORKDIR do (BuildKit: fsutil, copy/mkdir.go; solver/llbsolver/file/backend.go, mkdir).
 */
export const MAKE_DIRECTORY = `
make_directory() {
  if [ -z "$1" ] || [ -d "$1" ]; then return; fi
  case $1 in
  */) make_directory "\${1%/}" "$2" && return ;;
  */*) make_directory "\${1%/*}" "$2" ;;
  esac
  "$box" mkdir -- "$1"
  "$box" chown "$2" "$1"
}
`;

/** The command that runs a script of ours in the guest, by the host's busybox, which the script has as `$box`. */
export function scriptCommand(script: string, args: readonly string[]): string[] {
  return [BUSYBOX, 'sh', '-c', `set -eu; umask 022; box=${BUSYBOX}\n${script}`, 'sh', ...args];
}

/**
 * Has the guest answer something by a script of ours; returns what it printed.
 * @throws BangerError `step_failed` when the script failed
 */
export async function askGuest(
  script: string,
  args: readonly string[],
  { sandbox, busybox }: Pick<Provisioning, 'sandbox' | 'busybox'>,
  options: Pick<StepOptions, 'input' | 'mounts'> = {},
): Promise<string> {
  const result = await sandbox.run(scriptCommand(script, args), {
    binds: [busyboxBind(busybox)],
    network: 'none',
    tmp: 'image',
    ...options,
  });
  if (result.exitCode === 0) return result.stdout;
  const why = lastLines(result.stderr, 5).join('\n') || `status ${result.exitCode}`;
  throw new BangerError('step_failed', `the image could not be looked at: ${why}`, {
    details: { status: result.exitCode },
  });
}
