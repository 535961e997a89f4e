import { BangerError } from '../errors.ts';
import type { ProgressMode } from '../progress.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import type { BootTrial } from './boot-gate.ts';
import { generationsOf } from './generation.ts';
import { verifyBoot } from './verify-boot.ts';

export interface BisectOptions {
  name: string;
  trial: BootTrial;
  progress: ProgressMode;
  /** Told of each generation that was tried. */
  onTried: (tried: TriedGeneration) => void;
}

export interface TriedGeneration {
  generation: number;
  image: string;
  passed: boolean;
  /** Why it does not pass. */
  reason: string | null;
}

/** What came of it, as `--json` prints it. */
export interface Bisection {
  name: string;
  /** The newest generation before the first bad one; null where even the oldest that is kept is bad. */
  last_good: number | null;
  /** Null where the newest passes. */
  first_bad: number | null;
  tried: TriedGeneration[];
}

/**
 * Finds the generation since which a name does not pass, by halving: the newest and the oldest are tried first. Of
 * generations that pass and fail in turns, one that fails after one that passes is found.
 * @throws BangerError as verifyBoot, but for `boot_failed`; `not_found`, `usage`
 */
export async function bisectGenerations(workspace: Workspace, options: BisectOptions): Promise<Bisection> {
  const { name, trial, progress, onTried } = options;
  const generations = generationsOf(workspace.store, name).toSorted((a, b) => a.generation - b.generation);
  const tried: TriedGeneration[] = [];
  const passes = async ({ id, name: image, generation }: ImageRow): Promise<boolean> => {
    const reason = await failureOf(() => verifyBoot(workspace, { ref: id, trial, progress, onReport() {} }));
    const outcome = { generation, image, passed: reason === null, reason };
    tried.push(outcome);
    onTried(outcome);
    return outcome.passed;
  };
  const outcome = (good: ImageRow | null, bad: ImageRow | null): Bisection => ({
    name,
    last_good: good?.generation ?? null,
    first_bad: bad?.generation ?? null,
    tried,
  });
  const [oldest, newest] = [generations.at(0), generations.at(-1)];
  if (oldest === undefined || newest === undefined) throw new Error('a name has a generation');
  if (await passes(newest)) return outcome(newest, null);
  if (oldest === newest || !(await passes(oldest))) return outcome(null, oldest);
  let [good, bad] = [0, generations.length - 1];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    const image = generations[middle];
    if (image === undefined) throw new Error('it lies between two that are there');
    if (await passes(image)) good = middle;
    else bad = middle;
  }
  return outcome(generations[good] ?? null, generations[bad] ?? null);
}

/** Why an image does not pass; null where it does. */
async function failureOf(verify: () => Promise<void>): Promise<string | null> {
  try {
    await verify();
    return null;
  } catch (error) {
    if (error instanceof BangerError && error.code === 'boot_failed') return error.message;
    throw error;
  }
}

/** What `image bisect` prints for people. */
export function describeBisection({ name, last_good, first_bad, tried }: Bisection): string {
  if (first_bad === null) return `${name} passes: nothing is to be found`;
  if (last_good === null) return `generation ${first_bad} is the oldest that is kept, and fails already`;
  const names = [last_good, first_bad].map(
    (wanted) => tried.find(({ generation }) => generation === wanted)?.image ?? '',
  );
  return `generation ${first_bad} is the first that fails, ${last_good} the last that passes: banger image diff ${names.join(' ')}`;
}
