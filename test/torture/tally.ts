import { appendFileSync } from 'node:fs';

/** What a torture run counts, a column each of the table in docs/reliability.md. */
export type Torment =
  | 'kills'
  | 'failed calls'
  | 'power cuts'
  | 'full disks'
  | 'crowd'
  | 'stops'
  | 'hostile inputs';

export interface Count {
  /** What was tormented: a command (`image build`), or what stands for several (`all`). */
  command: string;
  torment: Torment;
  tried: number;
  /** Images, names or whole registries that were lost. */
  lost: number;
}

/** Whether everything is to be tried (`npm run test:torture`), or what fits beside the other tests. */
export const WHOLE = process.env.BANGER_TORTURE === 'whole';

/** Adds to the table of this run, where one is kept. */
export function count(line: Count): void {
  const file = process.env.BANGER_TORTURE_TALLY;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/**
 * All of a list in a whole run, else so many of it, evenly spread. `BANGER_TORTURE_SEED` (a number, 0 by default) shifts
 * the choice.
 */
export function sample<T>(all: readonly T[], howMany: number): T[] {
  if (WHOLE || all.length <= howMany) return [...all];
  const stride = all.length / howMany;
  const shift = Number(process.env.BANGER_TORTURE_SEED ?? 0) % Math.ceil(stride);
  const chosen = Array.from({ length: howMany }, (_, index) => Math.floor(index * stride) + shift);
  return chosen.flatMap((index) => all.slice(Math.min(index, all.length - 1)).slice(0, 1));
}
