import type { ListrTask } from 'listr2';
import type { Operation } from './operation.ts';
import { formatDuration, oneLine } from './text.ts';

/** How progress is shown: a live list on a terminal, plain lines elsewhere, or nothing. Always on standard error. */
export type ProgressMode = 'live' | 'plain' | 'silent';

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

const REFRESH_MS = 1000;

/**
 * Runs stages in order, each recorded in the journal as it begins and ends. The first that fails ends the run, and
 * its error comes out as it was thrown.
 */
export async function runStages(
  operation: Operation,
  stages: readonly Stage[],
  mode: ProgressMode,
): Promise<void> {
  const { Listr, ListrLogger, ProcessOutput } = await import('listr2');
  const tasks = stages.map(
    (stage): ListrTask => ({
      title: stage.name,
      task: async (_, task) => {
        if (!stage.committing) operation.signal.throwIfAborted();
        const startedAt = performance.now();
        const elapsed = (): string => formatDuration(performance.now() - startedAt);
        if (!stage.committing) operation.enterStage(stage.name);
        const line = (text: string): void => {
          if (mode === 'plain') process.stderr.write(`${text}\n`);
        };
        line(`${stage.name} ...`);
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
              line(`  ${oneLine(message)}`);
            },
          });
        } finally {
          clearInterval(clock);
        }
        task.title = [`${stage.name} (${elapsed()})`, ...notes].join(': ');
        line(`${stage.name} done in ${elapsed()}`);
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
            logger: new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) }),
            collapseErrors: false,
            showErrorMessage: false,
            formatOutput: 'truncate',
          },
        }
      : { renderer: 'silent' }),
  });
  await list.run();
}
