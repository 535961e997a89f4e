import { createHash } from 'node:crypto';

/** Something that a step's result depends on. */
export interface StepInput {
  /** As people know it: `instruction`, `files`, `env LANG`. */
  name: string;
  /** SHA-256 in hex. */
  digest: string;
}

/** Begins each key: changes when the same step would come out otherwise. */
const FORMAT = 'banger step 2';

/** SHA-256 in hex of any JSON value. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

export function stepInput(name: string, value: unknown): StepInput {
  return { name, digest: digestOf(value) };
}

/**
 * The key of a step's result.
 * @param parent the key of the state before it, or null for a beginning
 */
export function stepKey(parent: string | null, inputs: readonly StepInput[]): string {
  const sorted = inputs
    .map(({ name, digest }) => [name, digest])
    .sort(([one = ''], [other = '']) => (one < other ? -1 : 1));
  return digestOf([FORMAT, parent, sorted]);
}
