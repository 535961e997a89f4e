import { expandWord } from './expand.ts';
import { mistake } from './faults.ts';
import { Variables } from './variables.ts';
import type { Escape } from './words.ts';

/** A stage that begins from another copies its labels. */
const MOST_LABELS = 1024;

/** What the instructions up to here have set, for those that follow. */
export class StageState {
  readonly variables: Variables;
  readonly labels: Map<string, string>;
  cwd: string;
  user: string | null;
  shell: readonly string[];

  /** @param below the stage that this one begins from */
  constructor(below?: StageState) {
    this.variables = new Variables(below?.variables);
    this.labels = new Map(below?.labels);
    this.cwd = below?.cwd ?? '/';
    this.user = below?.user ?? null;
    this.shell = below?.shell ?? ['/bin/sh', '-c'];
  }

  expand(word: string, escaper: Escape): string {
    return expandWord(word, this.variables, escaper);
  }

  setLabel(name: string, value: string): void {
    if (name === '') throw mistake('the name of a label is empty');
    this.labels.set(name, value);
    if (this.labels.size > MOST_LABELS) throw mistake(`these are more than ${MOST_LABELS} labels`);
  }
}
