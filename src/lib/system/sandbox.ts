import { rm, writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BangerError, PreflightError } from '../errors.ts';
import { readGuestSettings } from './apt-settings.ts';
import { type ProcessResult, type RunOptions, toolFailed } from './process.ts';
import { requireRoom } from './room.ts';
import { copyImage, type ImageCopy } from './sandbox-copy.ts';
import { enterHolder } from './sandbox-entry.ts';
import { type Holder, type MountKind, startHolder } from './sandbox-holder.ts';
import { LimitNotes } from './sandbox-limits.ts';
import { checkSandbox, missingTools, mountKind } from './sandbox-requirements.ts';
import { bubblewrapOptions, type GuestBind, optionsFile, type StepMount, stepCall } from './sandbox-step.ts';
import { STEP_SCRIPT } from './sandbox-step-script.ts';
import { FuseUpkeep } from './sandbox-upkeep.ts';

export interface SandboxOptions {
  /** An ext4 file whose journal is empty, mounted read-write. */
  image: string;
  /** An existing empty directory outside the image. */
  mountpoint: string;
  network: 'host' | 'none';
  signal: AbortSignal;
  /** What the sandbox itself has to say (fuse2fs's complaints, notes on limits and repairs), for the build log. */
  onLine?: (line: string) => void;
}

export interface StepOptions {
  /** Added to the guest's clean environment. */
  env?: Readonly<Record<string, string>>;
  /** In the guest; `/` by default. */
  cwd?: string;
  /** Host files or directories, below /run or /tmp of the guest or in a directory that it has. */
  binds?: readonly GuestBind[];
  /** What else it finds in its place; under the binds, where they meet. */
  mounts?: readonly StepMount[];
  /** The sandbox's own by default. */
  network?: 'host' | 'none';
  /** Whether /tmp is empty and gone after the step, which is the default, or the image's, where steps find what others left. */
  tmp?: 'own' | 'image';
  /** What it reads on stdin, which is empty without; destroyed when it ends. A failure of this stream ends it. */
  input?: Readable;
  /**
   * `one` is for a step that works on many files with one program at a time, as apt does: an ordinary user's then
   * shares a processor with fuse2fs, which spares waking another one for each request and a third of the time.
   */
  processors?: 'all' | 'one';
  onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
}

/** Where an image is worked on, and nothing else is reached from. */
export interface Sandbox {
  /**
   * Runs a command of the guest as its root; a non-zero status is a result, not an error.
   * @throws BangerError `tool_failed` when the filesystem went away under it, or what fuse2fs left undone could not be mended
   */
  run(argv: readonly string[], options?: StepOptions): Promise<ProcessResult>;
  /**
   * Runs a tool of the host on files of the host, where these have the guest's ids: it finds there what steps left in their
   * binds. Throws as `run` of process.ts does.
   */
  runTool(file: string, args: readonly string[], options?: RunOptions): Promise<ProcessResult>;
  /** The same of a tool that reads a stream, which is destroyed in any case. */
  feedTool(file: string, args: readonly string[], input: Readable): Promise<ProcessResult>;
  /** Gives a file of the host to ids of the guest, where these can be told apart here. */
  giveTo(path: string, owner: { uid: number; gid: number }): Promise<void>;
  /** A shell of the guest's root on our terminal, until it is left. */
  runShell(options: Pick<StepOptions, 'env' | 'cwd'>): Promise<void>;
  /**
   * Copies the image as it stands between two steps, sharing extents where that can be: a whole filesystem, as if it had
   * been unmounted.
   */
  copyTo(target: string): Promise<ImageCopy>;
  /**
   * Unmounts, waits until everything is in the image file, and ends the namespaces.
   * @throws BangerError `tool_failed` when unmounting or writing out failed.
   */
  close(): Promise<void>;
  /** Ends everything at once, after an error; the image is then worth nothing. May be called at any time. */
  abandon(): Promise<void>;
}

/** One whose tools of the host see the image, too. */
export interface MountedSandbox extends Sandbox {
  /** Where the image is mounted, as `runTool` sees it. */
  readonly root: string;
}

export function isMounted(sandbox: Sandbox): sandbox is MountedSandbox {
  return 'root' in sandbox;
}

/** Where a step's apt finds how this machine's reaches its mirrors: its proxies are of the place, not of the image. */
export const APT_SETTINGS = '/run/banger/apt.conf';
/** Exit status of what SIGKILL ended. */
const KILLED = 137;
/** How long the news of a killed holder may take after that, in milliseconds. */
const KILL_NEWS_MS = 200;
/** How long it may take once fuse2fs does not answer, in milliseconds: something is wrong in any case. */
const LOSS_NEWS_MS = 5000;

/**
 * Mounts an ext4 image in private namespaces, to run steps in it and tools on it.
 * @throws BangerError `preflight_failed` with every fault when the machine lacks something; `tool_failed` when the image
 * could not be mounted.
 */
export async function openSandbox(options: SandboxOptions): Promise<MountedSandbox> {
  const kind = mountKind();
  const missing = await missingTools(kind);
  if (missing.length > 0) throw new PreflightError('the sandbox', missing);
  const upkeep = kind === 'fuse' ? new FuseUpkeep(options) : null;
  const aptSettings = await readGuestSettings(options.signal);
  let holder: Holder;
  try {
    holder = await startHolder({ ...options, kind });
  } catch (error) {
    options.signal.throwIfAborted();
    const faults = await checkSandbox(options.signal);
    if (faults.length > 0) throw new PreflightError('the sandbox', faults);
    throw error;
  }
  return makeSandbox(options, { kind, holder, upkeep, aptSettings });
}

interface Machinery {
  kind: MountKind;
  holder: Holder;
  upkeep: FuseUpkeep | null;
  /** An apt.conf(5); may be empty. */
  aptSettings: string;
}

function makeSandbox(
  options: SandboxOptions,
  { kind, holder, upkeep, aptSettings }: Machinery,
): MountedSandbox {
  const { image, mountpoint, signal } = options;
  const entry = enterHolder(holder, signal);
  const notes = new LimitNotes(kind, (note) => options.onLine?.(note));
  let toolsRan = false;
  const requireMounted = (): void => {
    const failure = holder.failure();
    if (failure !== null) throw new BangerError('tool_failed', `${image}: ${failure}`);
  };
  const mend = async (): Promise<void> => {
    try {
      await upkeep?.mend(entry);
    } catch (error) {
      await Promise.race([holder.ended, sleep(LOSS_NEWS_MS, undefined, { ref: false })]);
      requireMounted();
      throw error;
    }
  };
  return {
    root: mountpoint,
    async run(argv, stepOptions = {}) {
      requireMounted();
      const {
        cwd = '/',
        binds = [],
        network = options.network,
        processors = 'all',
        tmp = 'own',
        input,
        onLine,
      } = stepOptions;
      const apt = network === 'none' ? null : settingsMount(aptSettings);
      const env = { ...(apt === null ? {} : { APT_CONFIG: apt.target }), ...stepOptions.env };
      const mounts = [...(apt === null ? [] : [apt]), ...(stepOptions.mounts ?? [])];
      notes.foresee(argv.join(' '));
      const { args, head } = stepCall(mountpoint, {
        argv,
        mounts,
        binds,
        share: kind === 'fuse' && processors === 'one',
        tmp,
        options: bubblewrapOptions(mountpoint, kind, {
          env,
          cwd,
          tmp,
          network,
        }),
        input: input === undefined ? 'none' : 'given',
      });
      const result = await entry.feed(
        ['bash', '--norc', '-c', STEP_SCRIPT, 'step', ...args],
        { head, ...(input === undefined ? {} : { stream: input }) },
        {
          onLine(line, stream) {
            if (stream === 'stderr') notes.watch(line);
            onLine?.(line, stream);
          },
        },
      );
      // A killed step may be the first sign of a killed holder.
      if (result.exitCode === KILLED) await Promise.race([holder.ended, sleep(KILL_NEWS_MS)]);
      requireMounted();
      // A guest takes a full disk of ours for its own, or for a broken one.
      if (result.exitCode !== 0) requireRoom(image);
      await mend();
      holder.tidy();
      return result;
    },
    async runShell({ env = {}, cwd = '/' }) {
      requireMounted();
      const { args, head } = stepCall(mountpoint, {
        argv: ['/bin/sh', '-i'],
        ...{ mounts: [], binds: [], share: false, tmp: 'image', input: 'terminal' },
        options: bubblewrapOptions(mountpoint, kind, { env, cwd, tmp: 'image', network: options.network }),
      });
      const file = optionsFile(mountpoint);
      await writeFile(file, head, { mode: 0o600 });
      try {
        await entry.attach(['bash', '--norc', '-c', STEP_SCRIPT, 'step', ...args]);
      } finally {
        await rm(file);
      }
    },
    async runTool(file, args, toolOptions) {
      requireMounted();
      toolsRan = true;
      return entry.runTool(file, args, toolOptions);
    },
    async giveTo(path, { uid, gid }) {
      requireMounted();
      await entry.runTool('chown', [`${uid}:${gid}`, '--', path]);
    },
    async copyTo(target) {
      requireMounted();
      try {
        return await copyImage({ kind, image, mountpoint, signal }, entry, target);
      } catch (error) {
        requireMounted();
        signal.throwIfAborted();
        requireRoom(target);
        throw error;
      }
    },
    async feedTool(file, args, input) {
      requireMounted();
      toolsRan = true;
      const result = await entry.feed([file, ...args], { head: '', stream: input });
      if (result.exitCode !== 0) throw toolFailed(file, result);
      return result;
    },
    async close() {
      requireMounted();
      if (toolsRan) await mend();
      try {
        await holder.unmount();
      } catch (error) {
        signal.throwIfAborted();
        requireRoom(image);
        throw error;
      }
    },
    abandon: () => holder.kill(),
  };
}

function settingsMount(settings: string): (StepMount & { kind: 'data' }) | null {
  if (settings === '') return null;
  const content = Buffer.from(settings);
  return { kind: 'data', content, target: APT_SETTINGS, mode: 0o644, writable: false };
}
