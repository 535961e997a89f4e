import { tell } from './output.ts';
import { formatDuration, formatJsonLine, oneLine } from './text.ts';

/**
 * How progress is shown, always on standard error: a live list on a terminal, plain lines elsewhere, an object a line for
 * programs, or nothing.
 */
export const PROGRESS_MODES = ['live', 'plain', 'json', 'none'] as const;
export type ProgressMode = (typeof PROGRESS_MODES)[number];

/** What becomes of a stage, told line by line; a live list tells it in another way. */
export interface StageReport {
  started(stage: string): void;
  noted(stage: string, message: string): void;
  finished(stage: string, milliseconds: number): void;
}

const NOTHING: StageReport = { started() {}, noted() {}, finished() {} };

const PLAIN: StageReport = {
  started: (stage) => tell(`${stage} ...\n`),
  noted: (_, message) => tell(`  ${oneLine(message)}\n`),
  finished: (stage, milliseconds) => tell(`${stage} done in ${formatDuration(milliseconds)}\n`),
};

const JSON_LINES: StageReport = {
  started: (stage) => tellEvent({ event: 'started', stage }),
  noted: (stage, message) => tellEvent({ event: 'note', stage, message }),
  finished: (stage, milliseconds) =>
    tellEvent({ event: 'finished', stage, duration_ms: Math.round(milliseconds) }),
};

export function reportIn(mode: ProgressMode): StageReport {
  switch (mode) {
    case 'plain':
      return PLAIN;
    case 'json':
      return JSON_LINES;
    case 'live':
    case 'none':
      return NOTHING;
  }
}

/** One object on a line of its own. */
export function tellEvent(event: Readonly<Record<string, unknown>>): void {
  tell(formatJsonLine({ at: new Date().toISOString(), ...event }));
}
