import type { KeyedStage, KeyedStep } from './build-program.ts';

/** `nothing`: whatever is kept is taken. `packages`: from the first step on that may find newer packages. */
export type Anew = 'nothing' | 'packages' | 'everything';

export interface AnewWishes {
  anew: Anew;
  /** Stages, by name or number, of which nothing is taken. */
  anewStages: readonly string[];
}

/** The steps that are done anew, and with them all that comes after them, in other stages, too. */
export function stepsAnew(
  stages: readonly KeyedStage[],
  { anew, anewStages }: AnewWishes,
): ReadonlySet<KeyedStep> {
  const steps = new Set<KeyedStep>();
  const stale = new Set<number>();
  for (const stage of stages) {
    const { index, name, from } = stage;
    const isNamed = anewStages.some((wanted) => wanted.toLowerCase() === name || wanted === String(index));
    let isStale = anew === 'everything' || isNamed || (from.kind === 'stage' && stale.has(from.index));
    for (const step of stage.steps) {
      isStale ||= anew === 'packages' && step.installs;
      isStale ||= step.origins.some((origin) => origin.kind === 'stage' && stale.has(origin.index));
      if (isStale) steps.add(step);
    }
    if (isStale) stale.add(index);
  }
  return steps;
}
