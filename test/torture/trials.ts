import { createHash } from 'node:crypto';
import type { Account } from '../support/test-user.ts';
import type { Ground, GroundOf } from './ground.ts';
import { passedBefore, recordPassed } from './passed.ts';
import { SEED, Seeded } from './seeded.ts';
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
const LANES = WHOLE ? 3 : 1;

/** Which share of the trials, from 1, and of how many. */
const SHARE = shareOf(process.env.BANGER_TORTURE_SHARE ?? '1/1');

/** How often a trial is put off that did not come to what was to be tried: threads and tools change places under load. */
const PUT_OFF = 3;
/** How often a whole run tells how far it is, in trials. */
const TELL_EVERY = 200;

/**
 * Goes through trials on several grounds side by side, in any order: what fails in many places is found out early.
 * Those that an interrupted run passed are counted and left out.
 * @returns every complaint
 */
export async function tryAll(
  groundOf: GroundOf,
  account: Account,
  all: readonly Trial[],
  tally: { command: string; torment: Torment },
): Promise<string[]> {
  const complaints: string[] = [];
  let tried = 0;
  let lost = 0;
  const trials = all.filter(({ name }) => isOurs(name));
  const left = trials.filter(({ name }) => !passedBefore(`${account.label} ${name}`));
  const waiting = shuffled(left);
  tried += trials.length - left.length;
  const tell = (line: string): void => {
    if (WHOLE) console.log(`${tally.command}, ${tally.torment}, ${account.label}: ${line}`);
  };
  const put = new Map<Trial, number>();
  const lane = async (index: number): Promise<void> => {
    const ground = await groundOf(account, index);
    while (complaints.length < ENOUGH) {
      const trial = waiting.shift();
      if (trial === undefined) return;
      const outcome = await attempt(trial, ground);
      const putOff = put.get(trial) ?? 0;
      if (!outcome.met && putOff < PUT_OFF) {
        put.set(trial, putOff + 1);
        waiting.push(trial);
        continue;
      }
      if (outcome.met) tried += 1;
      if (outcome.lost) lost += 1;
      if (outcome.complaints.length === 0) recordPassed(`${account.label} ${trial.name}`);
      const found = outcome.complaints.map((complaint) => `${trial.name}: ${complaint}`);
      complaints.push(...found);
      for (const complaint of found) tell(complaint);
      if (waiting.length % TELL_EVERY === 0) tell(`${waiting.length} of ${trials.length} left`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(LANES, waiting.length) }, (_, index) => lane(index)));
  count({ ...tally, tried, lost });
  return complaints;
}

function shareOf(text: string): [share: number, shares: number] {
  const [, share, shares] = /^(\d+)\/(\d+)$/u.exec(text) ?? [];
  if (share === undefined || shares === undefined) throw new Error(`BANGER_TORTURE_SHARE: ${text}`);
  return [Number(share), Number(shares)];
}

/** Whether a trial is in the share that is gone through, `k/n`: by its name, for other calls may be recorded next time. */
function isOurs(name: string): boolean {
  const [share, shares] = SHARE;
  return createHash('sha256').update(name).digest().readUInt32BE(0) % shares === share - 1;
}

/** What a lane throws would leave the others at work on their grounds. */
async function attempt(trial: Trial, ground: Ground): Promise<Outcome> {
  try {
    return await trial.attempt(ground);
  } catch (error) {
    return {
      complaints: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
      met: false,
      lost: false,
    };
  }
}

function shuffled<T>(all: readonly T[]): T[] {
  const random = new Seeded(SEED);
  const keyed = all.map((one) => ({ one, key: random.next() }));
  return keyed.sort((first, second) => first.key - second.key).map(({ one }) => one);
}
