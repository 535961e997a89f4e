import { join } from 'node:path';
import { stepPlace } from '../cached-steps.ts';
import { ARTIFACT_FILES, type Layout } from '../layout.ts';
import { cachedStepByKey, cachedStepsAfter } from '../store/cached-steps.ts';
import type { CachedStepRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { CachedFacts, KeyedStage, KeyedStep } from './build-program.ts';
import { explainMiss } from './step-outcome.ts';
import { stampOf } from './step-stamp.ts';

export interface KeptGround {
  store: Store;
  layout: Layout;
}

/** A state of a build that is kept. */
export interface CachedStep {
  id: string;
  key: string;
  /** What it takes beside what it shares, in bytes. */
  bytes: number;
  rootfs: string;
  /** Of a result. */
  workSeed: string;
  facts: CachedFacts;
}

/** Where a stage is taken up. */
export interface Start {
  /** How many of its steps need not be carried out. */
  done: number;
  /** The state after them, if it is kept. */
  kept: CachedStep | null;
}

/** The states of builds that are kept, to look at. Nothing is promised of them until one is claimed. */
export class KeptSteps {
  readonly #ground: KeptGround;

  constructor(ground: KeptGround) {
    this.#ground = ground;
  }

  /** The state after a step, if it is kept and as it was. */
  peek(stateKey: string | null): CachedStep | null {
    return stateKey === null ? null : this.#find('state_key', stateKey);
  }

  /** A finished root filesystem with its work seed. */
  peekResult(key: string): CachedStep | null {
    return this.#find('key', key);
  }

  /** The last step of a stage after which the state is kept, before any that is to be done anew. */
  startOf({ steps }: KeyedStage, anew: ReadonlySet<KeyedStep>): Start {
    const first = steps.findIndex((step) => anew.has(step));
    const usable = first === -1 ? steps : steps.slice(0, first);
    for (let done = usable.length; done > 0; done -= 1) {
      const kept = this.peek(usable[done - 1]?.key ?? null);
      if (kept !== null) return { done, kept };
    }
    return { done: 0, kept: null };
  }

  /** Why the first step that is carried out is not taken from what is kept. */
  explain({ steps }: KeyedStage, { done }: Start, anew: ReadonlySet<KeyedStep>): string {
    const step = steps[done];
    if (step === undefined) return '';
    if (anew.has(step)) return 'to be done anew';
    return explainMiss(step, cachedStepsAfter(this.#ground.store, step.beforeKey));
  }

  #find(column: 'key' | 'state_key', key: string): CachedStep | null {
    const { store, layout } = this.#ground;
    const row = cachedStepByKey(store, column, key);
    if (row === undefined) return null;
    const step = cachedStep(layout, row);
    return stampOf(step, row.kind) === row.stamp ? step : null;
  }
}

export function cachedStep(layout: Layout, { id, key, bytes, facts }: CachedStepRow): CachedStep {
  const directory = stepPlace(layout, id);
  return {
    ...{ id, key, bytes },
    rootfs: join(directory, ARTIFACT_FILES.rootfs),
    workSeed: join(directory, ARTIFACT_FILES.workSeed),
    facts: JSON.parse(facts) as CachedFacts,
  };
}
