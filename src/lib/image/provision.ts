import { basename } from 'node:path';
import type { BuildLog } from '../build-log.ts';
import { BangerError } from '../errors.ts';
import type { ProcessResult } from '../system/process.ts';
import type { Sandbox, StepOptions } from '../system/sandbox.ts';
import { formatDuration, oneLine } from '../text.ts';
import type { ActingStep } from './build-step.ts';
import { guestCopyCommand } from './guest-copy.ts';
import type { PackageCache } from './package-cache.ts';
import { DOCKER_COMMANDS, installCommands } from './packages.ts';
import { NOTHING_SECRET, RedactedOutput, type Redaction } from './redaction.ts';
import { interpreterOf } from './script-interpreter.ts';

/** How many lines of a failed step's output are part of its error. */
const TAIL_LINES = 20;
/** How much of each of them, in characters; the log has it all. */
const TAIL_WIDTH = 200;
const SCRIPT_IN_GUEST = '/run/banger/script';

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
  for (const command of commandsOf(step, context)) {
    await runCommand(title, { ...command, env: { ...env, ...command.env } }, context);
  }
}

function commandsOf(step: ActingStep, { busybox, packageCache: { binds } }: Provisioning): GuestCommand[] {
  /** apt works on many files, one program at a time: see StepOptions. */
  const withApt = (command: GuestCommand): GuestCommand => ({ ...command, binds, processors: 'one' });
  switch (step.kind) {
    case 'packages':
      return installCommands(step.names).map(withApt);
    case 'run':
      return [{ argv: ['/bin/sh', '-c', step.command] }];
    case 'script':
      return [
        {
          argv: [...interpreterOf(step.path), SCRIPT_IN_GUEST],
          binds: [{ source: step.path, target: SCRIPT_IN_GUEST }],
        },
      ];
    case 'copy':
      return [guestCopyCommand(busybox, step.source, step.target, basename(step.source))];
    case 'docker':
      return DOCKER_COMMANDS.map(withApt);
  }
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
