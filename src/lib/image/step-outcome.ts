import type { CachedStepRow } from '../store/schema.ts';
import type { StepInput } from './step-key.ts';

/** What became of a step of a build. */
export interface StepOutcome {
  /** Its name, else its number. */
  stage: string;
  title: string;
  /** Whether an earlier build's was taken. */
  cached: boolean;
  /** Why not. */
  reason?: string;
  durationMs: number;
}

/** Names of inputs that say what a step is; where they differ it is another step. */
const WHAT = ['instruction', 'step'];

/** Why a step is not in the cache: what is other than in the step most like it that began from the same state. */
export function explainMiss(
  { inputs }: { inputs: readonly StepInput[] },
  others: readonly Pick<CachedStepRow, 'inputs'>[],
): string {
  const differences = others.map((other) => differ(inputs, JSON.parse(other.inputs) as StepInput[]));
  const same = differences.filter((names) => !names.some((name) => WHAT.includes(name)));
  const [nearest] = same.sort((one, other) => one.length - other.length);
  if (nearest !== undefined) {
    return nearest.length === 0 ? 'its files are gone or were written to' : `changed: ${nearest.join(', ')}`;
  }
  return differences.some(({ length }) => length === 1)
    ? 'changed: the step itself'
    : 'not kept of an earlier build';
}

function differ(inputs: readonly StepInput[], others: readonly StepInput[]): string[] {
  const before = new Map(others.map(({ name, digest }) => [name, digest]));
  const changed = inputs.filter(({ name, digest }) => before.get(name) !== digest).map(({ name }) => name);
  const names = new Set(inputs.map(({ name }) => name));
  const gone = others.filter(({ name }) => !names.has(name)).map(({ name }) => `${name} (no more)`);
  return [...changed, ...gone];
}
