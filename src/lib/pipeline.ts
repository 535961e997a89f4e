import { dirname } from 'node:path';
import type { ListrTask } from 'listr2';
import { toBangerError } from './error-report.ts';
import { messageOf } from './errors.ts';
import type { Operation } from './operation.ts';
import { terminalStream } from './output.ts';
import { type ProgressMode, reportIn } from './progress.ts';
import type { ImageRow, VmRow } from './store/schema.ts';
import type { Store } from './store/store.ts';
import { nameFullDisk } from './system/room.ts';
import { formatDuration, oneLine, shellWord } from './text.ts';

export interface StageContext {
  signal: AbortSignal;
  /** The newest line of output: shown on a terminal, kept nowhere else. */
  show(line: string): void;
  /** Something that must not be missed: how a copy was made, what could not be done. */
  note(message: string): void;
}

/** A named step of an operation, as the journal and the screen know it. */
export interface Stage {
  name: string;
  /** Past the point of no return: a cancel that comes now is too late. */
  committing?: boolean;
  run(context: StageContext): Promise<void> | void;
}

/** How long each stage took, in milliseconds. */
export type Durations = Record<string, number>;

const REFRESH_MS = 1000;

export interface CarryOutOptions {
  progress: ProgressMode;
  /** Lets go of what a stage holds open (a mounted image), before the stage directory is removed. */
  abandon?: () => Promise<void>;
}

/**
 * Carries an operation out: its stages in order, and when one fails everything undone and recorded as failed.
 * @throws what the stage threw, with hints that name the operation's log and what is left
 */
export async function carryOut(
  operation: Operation,
  stages: readonly Stage[],
  { progress, abandon }: CarryOutOptions,
): Promise<Durations> {
  try {
    return await runStages(operation, stages, progress);
  } catch (thrown) {
    // Now: when all is undone there may be room again.
    const error = nameFullDisk(thrown, dirname(operation.row.artifact_dir ?? '/'));
    const left: unknown[] = [];
    try {
      await abandon?.();
    } catch (held) {
      left.push(held);
    }
    const undone = await operation.fail(error);
    if (undone !== undefined) left.push(undone);
    throw withContext(error, operation.row.log_path, left);
  }
}

/** The two last stages of an operation that publishes: the rename, and the transaction that makes it count. */
export function publishingStages(
  operation: Operation,
  planned: ImageRow | VmRow,
  write: (store: Store) => void,
  durable: readonly string[] = [],
): Stage[] {
  return [
    { name: 'activate_artifacts', run: () => operation.activate(planned, durable) },
    { name: 'persisted', committing: true, run: () => operation.persist(write) },
  ];
}

/** The error itself, with what there is to look at and to do; one that is not ours becomes ours. */
function withContext(error: unknown, logPath: string | null, left: readonly unknown[]): unknown {
  if (logPath === null && left.length === 0) return error;
  const hints = left.map(
    (reason) => `what is left (${messageOf(reason)}) is removed by the next command that changes images`,
  );
  return toBangerError(error).annotate({
    hints: logPath === null ? hints : [...hints, `less ${shellWord(logPath)}`],
    details: logPath === null ? {} : { log_path: logPath },
  });
}

/**
 * Runs stages in order, each recorded in the journal as it begins and ends. The first that fails ends the run, and
 * its error comes out as it was thrown.
 */
async function runStages(
  operation: Operation,
  stages: readonly Stage[],
  mode: ProgressMode,
): Promise<Durations> {
  const durations: Durations = {};
  const { Listr, ListrLogger, ProcessOutput } = await import('listr2');
  const report = reportIn(mode);
  const tasks = stages.map(
    (stage): ListrTask => ({
      title: stage.name,
      task: async (_, task) => {
        if (!stage.committing) operation.signal.throwIfAborted();
        const startedAt = performance.now();
        const elapsed = (): string => formatDuration(performance.now() - startedAt);
        if (!stage.committing) operation.enterStage(stage.name);
        report.started(stage.name);
        const notes: string[] = [];
        const clock = setInterval(() => {
          task.title = `${stage.name} (${elapsed()})`;
        }, REFRESH_MS);
        try {
          await stage.run({
            signal: operation.signal,
            show(text) {
              if (mode === 'live') task.output = oneLine(text);
            },
            note(message) {
              notes.push(oneLine(message));
              report.noted(stage.name, message);
            },
          });
        } finally {
          clearInterval(clock);
        }
        task.title = [`${stage.name} (${elapsed()})`, ...notes].join(': ');
        const took = performance.now() - startedAt;
        durations[stage.name] = Math.round(took);
        report.finished(stage.name, took);
        if (!stage.committing) operation.leaveStage(stage.name);
      },
    }),
  );
  const list = new Listr(tasks, {
    concurrent: false,
    exitOnError: true,
    // Its own handler would end the process before anything is cleaned up.
    registerSignalListeners: false,
    ...(mode === 'live'
      ? {
          renderer: 'default',
          forceTTY: true,
          rendererOptions: {
            logger: new ListrLogger({ processOutput: new ProcessOutput(terminalStream(), process.stderr) }),
            collapseErrors: false,
            showErrorMessage: false,
            formatOutput: 'truncate',
          },
        }
      : { renderer: 'silent' }),
  });
  await list.run();
  return durations;
}
