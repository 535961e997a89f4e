import { BangerError } from '../errors.ts';
import { type ProcessResult, type RunOptions, run, start, toolFailed } from './process.ts';
import { type Holder, type MountKind, startHolder } from './sandbox-holder.ts';
import { bubblewrapOptions, type GuestBind, STEP_SCRIPT, stepArguments } from './sandbox-step.ts';

export interface SandboxOptions {
  /** An ext4 file, mounted read-write. */
  image: string;
  /** An existing empty directory outside the image. */
  mountpoint: string;
  network: 'host' | 'none';
  signal: AbortSignal;
  /** What the holder itself has to say (fuse2fs's complaints, notes), for the build log. */
  onLine?: (line: string) => void;
}

export interface StepOptions {
  /** Added to the guest's clean environment. */
  env?: Readonly<Record<string, string>>;
  /** In the guest; `/` by default. */
  cwd?: string;
  /** Host files or directories, read-only, at targets below /run or /tmp or where the guest has them already. */
  binds?: readonly GuestBind[];
  onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
}

export interface Sandbox {
  /** Where the image is mounted, as `runTool` sees it. */
  readonly root: string;
  /** Runs a command of the guest as its root; a non-zero status is a result, not an error. */
  run(argv: readonly string[], options?: StepOptions): Promise<ProcessResult>;
  /** Runs a tool of the host where the image is mounted and ids are mapped. Throws as `run` of process.ts does. */
  runTool(file: string, args: readonly string[], options?: RunOptions): Promise<ProcessResult>;
  /**
   * Unmounts, waits until everything is in the image file, and ends the namespaces.
   * @throws BangerError `tool_failed` when unmounting or writing out failed.
   */
  close(): Promise<void>;
  /** Ends everything at once, after an error; the image is then worth nothing. May be called at any time. */
  abandon(): Promise<void>;
}

/** What stands before a program in the namespaces: it dies with nsenter, whose own signal the change of ids clears. */
const LIFELINE = ['setpriv', '--pdeathsig', 'KILL', '--'];

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

/**
 * Mounts an ext4 image in private namespaces, to run steps in it and tools on it.
 * @throws BangerError `tool_failed` when the namespaces or the mount could not be made.
 */
export async function openSandbox(options: SandboxOptions): Promise<Sandbox> {
  const { signal, mountpoint, network } = options;
  const kind: MountKind = process.geteuid?.() === 0 ? 'loop' : 'fuse';
  const holder = await startHolder({ ...options, kind });
  const enter = nsenterArguments(holder, kind);

  async function runTool(file: string, args: readonly string[], toolOptions: RunOptions = {}) {
    const { cwd = '', okExit = [0], ...rest } = toolOptions;
    requireMounted(holder, options.image);
    const result = await run(
      'nsenter',
      [...enter, ...LIFELINE, '/bin/sh', '-c', TOOL_SCRIPT, 'tool', cwd, file, ...args],
      {
        signal,
        ...rest,
        okExit: 'any',
      },
    );
    if (okExit !== 'any' && !okExit.includes(result.exitCode)) throw toolFailed(file, result);
    return result;
  }

  return {
    root: mountpoint,
    runTool,
    async run(argv, { env = {}, cwd = '/', binds = [], onLine } = {}) {
      requireMounted(holder, options.image);
      const bwrap = bubblewrapOptions(mountpoint, kind, { env, cwd, binds, network });
      const child = await start(
        'nsenter',
        [...enter, ...LIFELINE, 'bash', '-c', STEP_SCRIPT, 'step', ...stepArguments(mountpoint, binds, argv)],
        { signal, stdin: 'pipe', ...(onLine ? { onLine } : {}) },
      );
      child.stdin?.on('error', () => {});
      child.stdin?.end(bwrap.map((option) => `${option}\0`).join(''));
      const result = await child.exited;
      signal.throwIfAborted();
      requireMounted(holder, options.image);
      return result;
    },
    close: () => holder.unmount(),
    abandon: () => holder.kill(),
  };
}

function nsenterArguments(holder: Holder, kind: MountKind): string[] {
  return [
    ...['--target', String(holder.target)],
    '--mount',
    '--pid',
    ...(kind === 'fuse' ? ['--user'] : []),
    '--',
  ];
}

function requireMounted(holder: Holder, image: string): void {
  const failure = holder.failure();
  if (failure !== null) throw new BangerError('tool_failed', `${image}: ${failure}`);
}
