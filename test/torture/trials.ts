import type { Account } from '../support/test-user.ts';
import type { Ground, GroundOf } from './ground.ts';
import { passedBefore, recordPassed } from './passed.ts';
import { count, type Torment, WHOLE } from './tally.ts';

/** Something that is done to a command on a ground of its own, and what becomes of it. */
export interface Trial {
  /** Tells it from all others of the run. */
  name: string;
  attempt(ground: Ground): Promise<Outcome>;
}

export interface Outcome {
  /** What is not as promised; each with where. */
  complaints: string[];
  /** Whether it came to what was to be tried. */
  met: boolean;
  lost: boolean;
}

/** More complaints would only say the same. */
const ENOUGH = 20;
/** Commands wait for disks and for each other more than they compute. */
const LANES = WHOLE ? 2 : 1;

/**
 * Goes through trials on several grounds side by side; those that an interrupted run passed are counted and left out.
 * @returns every complaint
 */
export async function tryAll(
  groundOf: GroundOf,
  account: Account,
  trials: readonly Trial[],
  tally: { command: string; torment: Torment },
): Promise<string[]> {
  const complaints: string[] = [];
  let tried = 0;
  let lost = 0;
  const waiting = trials.filter(({ name }) => {
    const passed = passedBefore(`${account.label} ${name}`);
    if (passed) tried += 1;
    return !passed;
  });
  const lane = async (index: number): Promise<void> => {
    const ground = await groundOf(account, index);
    while (complaints.length < ENOUGH) {
      const trial = waiting.shift();
      if (trial === undefined) return;
      const outcome = await trial.attempt(ground);
      if (outcome.met) tried += 1;
      if (outcome.lost) lost += 1;
      if (outcome.complaints.length === 0) recordPassed(`${account.label} ${trial.name}`);
      complaints.push(...outcome.complaints.map((complaint) => `${trial.name}: ${complaint}`));
    }
  };
  await Promise.all(Array.from({ length: Math.min(LANES, waiting.length) }, (_, index) => lane(index)));
  count({ ...tally, tried, lost });
  return complaints;
}
