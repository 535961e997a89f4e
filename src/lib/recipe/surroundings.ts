import type { StageList } from './stage-list.ts';
import type { Escape } from './words.ts';

/** What an instruction is evaluated with, beside the state of its stage. */
export interface Surroundings {
  escaper: Escape;
  buildArgs: ReadonlyMap<string, string>;
  globals: ReadonlyMap<string, string>;
  stages: StageList;
  /** Of the stage that it is in. */
  index: number;
}
