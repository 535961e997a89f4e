import { Command } from '@oclif/core/command';
import type { Config } from '@oclif/core/config';
import * as Flags from '@oclif/core/flags';
import { errorDocument, report, toBangerError } from './error-report.ts';
import { BangerError, CANCEL_SIGNALS, CancelledError, type CancelSignal } from './errors.ts';
import { isTerminal, print, tell, terminalStream } from './output.ts';
import { type ProgressMode, tellEvent } from './progress.ts';
import { formatJson, oneLine } from './text.ts';
import type { Readings, Workspace } from './workspace.ts';

/** What a command that changes things is handed while it runs. */
export interface Change {
  workspace: Workspace;
  progress: ProgressMode;
}

interface CommonFlags {
  'state-dir'?: string | undefined;
  quiet?: boolean;
  progress?: ProgressMode | undefined;
}

/** A command that can be started: one of the table. */
export type CommandClass = typeof BangerCommand & (new (argv: string[], config: Config) => BangerCommand);

/** The base of every command: workspace, --json, errors to exit codes. */
export abstract class BangerCommand extends Command {
  static override enableJsonFlag = true;
  static override baseFlags = {
    'state-dir': Flags.string({
      description: 'keep images and their registry here [env: BANGER_STATE_DIR]',
      helpValue: 'DIR',
      helpGroup: 'GLOBAL',
    }),
    quiet: Flags.boolean({
      char: 'q',
      description: 'print no progress, and of a list names or ids alone',
      helpGroup: 'GLOBAL',
    }),
    json: Flags.boolean({ description: 'print one JSON document', helpGroup: 'GLOBAL' }),
  };

  /** Runs the command as oclif would, but for making its configuration anew. */
  static start<T extends BangerCommand>(
    this: new (
      argv: string[],
      config: Config,
    ) => T,
    argv: string[],
    config: Config,
  ): Promise<unknown> {
    return new this(argv, config)._run();
  }

  /** What is beside the error in the JSON document of a failure. */
  protected readonly whenFailed: Readonly<Record<string, unknown>> = {};

  /** Whether standard error is for programs (`--progress json`). */
  protected tellsEvents = false;

  /** Standard input is not for arguments: oclif would take one that is missing from there, `while read` loops and all. */
  protected override parse: Command['parse'] = (options, argv) => {
    for (const arg of Object.values(options?.args ?? {})) arg.ignoreStdin = true;
    return super.parse(options, argv);
  };

  /** Runs `look` on what there is, without the lock and without making anything. */
  protected async look<T>(flags: CommonFlags, look: (readings: Readings) => T | Promise<T>): Promise<T> {
    const { openReadings } = await import('./workspace.ts');
    const readings = await openReadings({ stateDir: flags['state-dir'] });
    try {
      return await look(readings);
    } finally {
      readings.store?.close();
    }
  }

  /** Names alone, a line each. */
  protected logNames(names: readonly string[]): void {
    if (!this.jsonEnabled()) print(names.map((name) => `${name}\n`).join(''));
  }

  override log(message = ''): void {
    if (!this.jsonEnabled()) print(`${message}\n`);
  }

  override logToStderr(message = ''): void {
    if (!this.jsonEnabled()) tell(`${message}\n`);
  }

  override logJson(json: unknown): void {
    print(formatJson(json));
  }

  protected override async catch(thrown: Error): Promise<void> {
    const error = toBangerError(thrown, this.id, [
      'json',
      ...Object.keys({ ...this.ctor.baseFlags, ...this.ctor.flags }),
    ]);
    process.exitCode = error.exitCode;
    if (this.tellsEvents && !this.jsonEnabled()) tellEvent({ event: 'failed', ...errorDocument(error) });
    else report(error, this.jsonEnabled(), this.whenFailed);
  }
}

/**
 * timeout(1), a shell that ends, or npm send the signal that the kernel has sent to the group already: within so many
 * milliseconds a second one is an echo of the first, not somebody who is tired of waiting.
 */
const ECHO_MS = 500;

/** The base of commands that change something: the lock, and signals that cancel. */
export abstract class ChangingCommand extends BangerCommand {
  static override baseFlags = {
    ...BangerCommand.baseFlags,
    'lock-timeout': Flags.integer({
      description: 'wait so many seconds for the lock',
      helpValue: 'SECONDS',
      default: 60,
      min: 0,
      max: 2_000_000,
      helpGroup: 'GLOBAL',
    }),
  };

  /** Opens the workspace, runs `change`, closes it. The first signal cancels it, another leaves at once. */
  protected async change<T>(
    flags: CommonFlags & { 'lock-timeout'?: number },
    change: (context: Change) => Promise<T>,
  ): Promise<T> {
    const { openWorkspace, orDiskFailure } = await import('./workspace.ts');
    const progress = this.progressMode(flags);
    this.tellsEvents = progress === 'json';
    const cancelled = new AbortController();
    let firstAt: number | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      const error = new CancelledError(signal as CancelSignal);
      firstAt ??= performance.now();
      if (!cancelled.signal.aborted) cancelled.abort(error);
      else if (performance.now() - firstAt > ECHO_MS) process.exit(error.exitCode);
    };
    for (const signal of CANCEL_SIGNALS) process.on(signal, onSignal);
    try {
      const workspace = await openWorkspace(
        { stateDir: flags['state-dir'], lockTimeoutMs: (flags['lock-timeout'] ?? 60) * 1000 },
        {
          signal: cancelled.signal,
          command: this.commandLine(),
          notify: (message) => {
            if (progress === 'json') tellEvent({ event: 'note', message });
            else if (!flags.quiet) tell(`${oneLine(message)}\n`);
          },
        },
      );
      try {
        return await change({ workspace, progress });
      } catch (error) {
        throw orDiskFailure(error, workspace.layout);
      } finally {
        workspace.close();
      }
    } finally {
      for (const signal of CANCEL_SIGNALS) process.off(signal, onSignal);
    }
  }

  private progressMode({ quiet, progress }: CommonFlags): ProgressMode {
    if (quiet) return 'none';
    const whatever = isTerminal(2) && process.env.TERM !== 'dumb' ? 'live' : 'plain';
    // A list that redraws itself wants a terminal to do it on.
    return progress === undefined || progress === 'live' ? whatever : progress;
  }

  /** Ids and names alone: flags may hold secrets, and others can read this. */
  private commandLine(): string {
    const words = this.argv.slice(0, firstFlag(this.argv));
    return oneLine(['banger', ...(this.id ?? '').split(':'), ...words].join(' ')).slice(0, 200);
  }
}

function firstFlag(argv: readonly string[]): number {
  const index = argv.findIndex((word) => word.startsWith('-'));
  return index === -1 ? argv.length : index;
}

/** An aborted prompt or a `no` is a cancel like Ctrl-C. */
export async function confirm(question: string): Promise<void> {
  const { createInterface } = await import('node:readline/promises');
  const prompt = createInterface({ input: process.stdin, output: terminalStream() });
  const left = new Promise<null>((resolve) => {
    prompt.once('SIGINT', () => resolve(null)).once('close', () => resolve(null));
  });
  try {
    const answer = await Promise.race([prompt.question(`${question} [y/N] `), left]);
    if (answer === null) tell('\n');
    if (!/^y(es)?$/iu.test(answer?.trim() ?? '')) throw new BangerError('cancelled', 'nothing was changed');
  } finally {
    prompt.close();
  }
}
