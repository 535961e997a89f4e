import { basename } from 'node:path';
import type { BuildLog } from '../build-log.ts';
import { BangerError } from '../errors.ts';
import type { ProcessResult } from '../system/process.ts';
import type { Sandbox, StepOptions } from '../system/sandbox.ts';
import type { GuestBind } from '../system/sandbox-step.ts';
import { formatDuration, oneLine } from '../text.ts';
import type { ActingStep } from './build-step.ts';
import { guestCopyCommand } from './guest-copy.ts';
import { DOCKER_COMMAND, installCommand, UPDATE_COMMAND } from './packages.ts';
import { NOTHING_SECRET, RedactedOutput, type Redaction } from './redaction.ts';
import { interpreterOf } from './script-interpreter.ts';

/** How many lines of a failed step's output are part of its error. */
const TAIL_LINES = 20;
/** How much of each of them, in characters; the log has it all. */
const TAIL_WIDTH = 200;
const SCRIPT_IN_GUEST = '/run/banger/script';

/**
 * What apt downloads, beside the image instead of in it: it need not be cleaned away, nobody fetches it twice, and an
 * ordinary user's does not go through fuse2fs.
 */
export interface PackageCache {
  /** Empty where the guest has no apt. */
  binds: readonly GuestBind[];
  /** Has lists that are as good as new when an installation begins, and the package files that others fetched. */
  beginInstall(env: Readonly<Record<string, string>>, update: () => Promise<void>): Promise<void>;
  /** Has lists that are new. False when those of the step's beginning are. */
  renew(update: () => Promise<void>): Promise<boolean>;
}

export interface Provisioning {
  sandbox: Sandbox;
  log: BuildLog;
  /** The newest line of output, for the screen. */
  show(line: string): void;
  packageCache: PackageCache;
  /** The host's static busybox, which copies files into guests that may have no `cp`. */
  busybox: string;
}

/** A command of the guest, and how it is run. */
export interface GuestCommand extends Omit<StepOptions, 'onLine'> {
  argv: string[];
  /** Of the secrets that it sees. */
  redaction?: Redaction;
}

/**
 * Carries out a step in a mounted rootfs. Command, output, status and duration go to the log.
 * @throws BangerError `step_failed` (exit 8) with the command, its status and its last lines
 */
export async function carryOutStep(
  title: string,
  step: ActingStep,
  env: Readonly<Record<string, string>>,
  context: Provisioning,
): Promise<void> {
  const { packageCache, busybox } = context;
  const { binds } = packageCache;
  const run = (command: GuestCommand): Promise<void> => runCommand(title, { ...command, env }, context);
  /** apt works on many files, one program at a time: see StepOptions. */
  const runApt = (command: { argv: string[] }): Promise<void> =>
    run({ ...command, binds, processors: 'one' });
  switch (step.kind) {
    case 'packages':
    case 'docker': {
      const update = (): Promise<void> => runApt(UPDATE_COMMAND);
      const install = step.kind === 'docker' ? DOCKER_COMMAND : installCommand(step.names);
      await packageCache.beginInstall(env, update);
      try {
        return await runApt(install);
      } catch (error) {
        if (!isOutdated(error) || !(await packageCache.renew(update))) throw error;
        return runApt(install);
      }
    }
    case 'run':
      return run({ argv: ['/bin/sh', '-c', step.command], binds });
    case 'script': {
      const script = { source: step.path, target: SCRIPT_IN_GUEST };
      return run({ argv: [...interpreterOf(step.path), SCRIPT_IN_GUEST], binds: [script, ...binds] });
    }
    case 'copy':
      return run(guestCopyCommand(busybox, step.source, step.target, basename(step.source)));
  }
}

/** What apt-get says (2.6.1) of a package that its lists do not have, or its repository has no longer; nothing is unpacked then. */
const OUTDATED =
  /^E: (?:Failed to fetch|Unable to fetch|Unable to locate|(?:Version|Release) .* was not found|.* has no installation)/u;

function isOutdated(error: unknown): boolean {
  if (!(error instanceof BangerError) || error.code !== 'step_failed') return false;
  const { output } = error.details;
  return Array.isArray(output) && output.some((line) => OUTDATED.test(String(line)));
}

/** Runs one command of a step and turns a non-zero status into the error of the build. */
export async function runCommand(
  title: string,
  { argv, redaction, ...stepOptions }: GuestCommand,
  { sandbox, log, show }: Provisioning,
): Promise<void> {
  log.write(title);
  show(oneLine(title));
  const tail: string[] = [];
  const tell = (line: string): void => {
    log.write(`  ${line}`);
    show(line);
    tail.push(line.length > TAIL_WIDTH ? `${line.slice(0, TAIL_WIDTH)}…` : line);
    if (tail.length > TAIL_LINES) tail.shift();
  };
  const output = new RedactedOutput(redaction ?? NOTHING_SECRET, tell);
  const result = await sandbox.run(argv, {
    ...stepOptions,
    onLine: (line, stream) => output.take(line, stream),
  });
  output.end();
  // `step 1/2`, `[stage 1/2]`: what it runs has just been written.
  const which = title.replace(/^(\[[^\]]*\]|[^:]*).*$/su, '$1');
  log.write(`${which}: status ${result.exitCode} after ${formatDuration(result.durationMs)}`);
  if (result.exitCode !== 0) throw stepFailed(title, result, tail);
}

function stepFailed(title: string, result: ProcessResult, tail: readonly string[]): BangerError {
  const output = tail.map((line) => `\n  | ${line}`).join('');
  return new BangerError(
    'step_failed',
    `${oneLine(title)}: failed with status ${result.exitCode} after ${formatDuration(result.durationMs)}${output}`,
    { details: { step: title, status: result.exitCode, output: tail } },
  );
}
