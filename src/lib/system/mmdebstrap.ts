import { existsSync } from 'node:fs';
import { BangerError } from '../errors.ts';
import type { MountedRoot } from './memory-root.ts';
import { lastLines, type ProcessResult } from './process.ts';

export interface MmdebstrapOptions {
  /** Empty, or with lost+found alone. */
  target: Pick<MountedRoot, 'root' | 'runTool'>;
  /** Whose Essential packages make the base. */
  suite: string;
  /** A deb822 file that becomes the guest's own. */
  sourcesFile: string;
  packages: readonly string[];
  /** Merge /usr from the start; for releases whose packages would convert it later. */
  mergedUsr: boolean;
  /** What maintainer scripts take for the name of the machine. */
  hostname: string;
  /** Shell scripts; `$1` is the root. The first runs before anything is fetched, the other when all is installed. */
  setup: string;
  customize: string;
  /** For mmdebstrap, maintainer scripts and hooks. */
  env: Readonly<Record<string, string>>;
  /** Leave out fsync for each file: a root that is synced as a whole, or not at all, has no use for it. */
  unsafeIo: boolean;
  signal: AbortSignal;
  onLine: (line: string) => void;
}

/** From mmdebstrap(1): without it the usrmerge package brings all of perl to convert what was just unpacked. */
const MERGED_USR = '/usr/share/mmdebstrap/hooks/maybe-merged-usr';

/** A host name of its own, or maintainer scripts would write this machine's into the image. */
const UNDER_OTHER_NAME = `
hostname -- "$1" || exit 1
shift
umask 022
exec mmdebstrap "$@"
`;

/**
 * Installs a Debian into a mounted root.
 * @throws BangerError `tool_failed` with what apt or dpkg complained of
 */
export async function runMmdebstrap(options: MmdebstrapOptions): Promise<void> {
  const { target, hostname, env, signal, onLine } = options;
  const result = await target.runTool(
    'unshare',
    [
      '--uts',
      '--ipc',
      '--',
      '/bin/sh',
      '-c',
      UNDER_OTHER_NAME,
      'mmdebstrap',
      hostname,
      ...mmdebstrapArguments(options),
    ],
    { env, signal, onLine, okExit: 'any' },
  );
  if (result.exitCode !== 0) throw bootstrapFailed(options.suite, result);
}

function mmdebstrapArguments(options: MmdebstrapOptions): string[] {
  const { target, suite, sourcesFile, packages, mergedUsr, setup, customize, unsafeIo } = options;
  return [
    // Where ids are mapped already, all that needs root works.
    ...['--mode', 'root'],
    ...['--variant', 'minbase'],
    ...['--format', 'directory'],
    '--verbose',
    // No package needs it, and an ordinary user may not mount it.
    ...['--skip', 'chroot/mount/sys'],
    ...(unsafeIo ? ['--dpkgopt', 'force-unsafe-io'] : []),
    // First, because the next one fetches the lists.
    ...['--setup-hook', setup],
    ...(mergedUsr && existsSync(MERGED_USR) ? ['--hook-dir', MERGED_USR] : []),
    ...['--customize-hook', customize],
    ...['--include', packages.join(',')],
    '--',
    suite,
    target.root,
    sourcesFile,
  ];
}

/** apt and dpkg say what is wrong in the middle; what comes last is mmdebstrap giving up. */
function bootstrapFailed(suite: string, result: ProcessResult): BangerError {
  const all = lastLines(`${result.stdout}\n${result.stderr}`, 400);
  const complaints = all.filter((line) => /^(?:E: |Err:|dpkg: error|W: GPG error)/u.test(line));
  const told = complaints.filter(
    (line) => !/^E: (?:setup failed|run_chroot|mmdebstrap failed|env )/u.test(line),
  );
  const said = (told.length > 0 ? told : all).slice(-5).join('\n');
  const why =
    result.exitCode === 127 ? 'is not installed' : `failed with status ${result.exitCode} on ${suite}`;
  return new BangerError('tool_failed', `mmdebstrap ${why}: ${said}`, {
    details: { tool: 'mmdebstrap', status: result.exitCode },
  });
}
