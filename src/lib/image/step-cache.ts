import { rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeCachedSteps, stepPlace } from '../cached-steps.ts';
import { newId } from '../id.ts';
import { ARTIFACT_FILES, type Layout } from '../layout.ts';
import {
  cachedStepById,
  cachedStepByKey,
  cachedStepsAfter,
  cachedStepsInUse,
  everyCachedStep,
  insertCachedStep,
  settleCachedStep,
  stopUsingCachedStep,
  touchCachedStep,
  useCachedStep,
} from '../store/cached-steps.ts';
import type { Run } from '../store/liveness.ts';
import type { CachedStepRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { renameDurably, syncTree } from '../system/durable.ts';
import { type Extent, extentsOf, lengthOf, lengthWithout } from '../system/extents.ts';
import { makePrivateDirectory } from '../system/private-directory.ts';
import type { StepInput } from './step-key.ts';
import { choosePruned } from './step-pruning.ts';
import { stampOf } from './step-stamp.ts';

export interface CacheGround {
  store: Store;
  layout: Layout;
  run: Run;
  /** How much the cache may take on the disk, in bytes. */
  limitBytes: number;
  signal: AbortSignal;
}

/** What was found out on the way to a state, and is true of it. */
export type CachedFacts = Readonly<Record<string, unknown>>;

/** A state of a build that is kept. */
export interface CachedStep {
  id: string;
  key: string;
  rootfs: string;
  /** Of a result. */
  workSeed: string;
  facts: CachedFacts;
}

/** A state to be kept. */
export interface StepDraft {
  kind: CachedStepRow['kind'];
  key: string;
  stateKey: string;
  /** Of the state before its step; null for a first one. */
  beforeKey: string | null;
  /** The nearest state before it that is kept. */
  parent: CachedStep | null;
  title: string;
  inputs: readonly StepInput[];
  facts: CachedFacts;
  /** On the filesystem of the state directory, with the files; it becomes the cache's. */
  directory: string;
  /** What it was made from where there is no parent: the base's root filesystem, or nothing. */
  base: string | null;
}

/** The states of builds that are kept, so that the next build need not come to them anew. */
export class StepCache {
  readonly #ground: CacheGround;

  constructor(ground: CacheGround) {
    this.#ground = ground;
  }

  /** 0: nothing is kept. */
  get limitBytes(): number {
    return this.#ground.limitBytes;
  }

  /** What is kept of steps that began from a state, or from no state of ours. */
  stepsAfter(stateKey: string | null): CachedStepRow[] {
    return cachedStepsAfter(this.#ground.store, stateKey);
  }

  /** The state after a step, if it is kept and as it was. Nothing is promised until it is claimed. */
  peek(stateKey: string | null): CachedStep | null {
    return stateKey === null ? null : this.#find('state_key', stateKey);
  }

  /** A finished root filesystem with its work seed. */
  peekResult(key: string): CachedStep | null {
    return this.#find('key', key);
  }

  #find(column: 'key' | 'state_key', key: string): CachedStep | null {
    const { store, layout } = this.#ground;
    const row = cachedStepByKey(store, column, key);
    if (row === undefined) return null;
    const step = cachedStep(layout, row);
    return stampOf(step, row.kind) === row.stamp ? step : null;
  }

  /**
   * Makes use of a step: it stays there as long as this run lives, or until it is let go.
   * @returns false when another command has removed it since
   */
  claim({ id }: CachedStep): boolean {
    const { store, run } = this.#ground;
    return store.write(() => {
      if (cachedStepById(store, id)?.state !== 'kept') return false;
      useCachedStep(store, id, run.row.id);
      touchCachedStep(store, id, new Date().toISOString());
      return true;
    });
  }

  letGo({ id }: CachedStep): void {
    const { store, run } = this.#ground;
    store.write(() => stopUsingCachedStep(store, id, run.row.id));
  }

  /**
   * Keeps a state, in use, in place of what has been of no use for longest; the state before it is let go.
   * @returns null when there is no room for it
   */
  async keep(draft: StepDraft): Promise<CachedStep | null> {
    const { store, layout, run, signal } = this.#ground;
    const { kind, key, parent, title, directory } = draft;
    await syncTree(directory, signal);
    const files = {
      rootfs: join(directory, ARTIFACT_FILES.rootfs),
      workSeed: join(directory, ARTIFACT_FILES.workSeed),
    };
    const now = new Date().toISOString();
    const row: CachedStepRow = {
      id: newId(),
      key,
      state_key: draft.stateKey,
      before_key: draft.beforeKey,
      parent_id: parent?.id ?? null,
      kind,
      state: 'coming',
      run_id: run.row.id,
      title,
      inputs: JSON.stringify(draft.inputs),
      facts: JSON.stringify(draft.facts),
      stamp: stampOf(files, kind),
      ...(await measure(files, draft, signal)),
      created_at: now,
      used_at: now,
    };
    makePrivateDirectory(layout.stepsDir);
    const pruned = this.#admit(row);
    if (pruned === null) {
      rmSync(directory, { recursive: true });
      return null;
    }
    renameDurably(directory, stepPlace(layout, row.id));
    store.write(() => {
      settleCachedStep(store, row.id, 'kept', run.row.id);
      useCachedStep(store, row.id, run.row.id);
      if (parent !== null) stopUsingCachedStep(store, parent.id, run.row.id);
    });
    await removeCachedSteps({ store, layout }, pruned);
    return cachedStep(layout, row);
  }

  /** Writes the row of what is coming, and marks what goes for it; null when it does not fit. */
  #admit(row: CachedStepRow): string[] | null {
    const { store, layout, run, limitBytes } = this.#ground;
    return store.write(() => {
      const parent = row.parent_id === null ? undefined : cachedStepById(store, row.parent_id);
      // Somebody may have taken it away, if only by hand: then what it shared is its own.
      const admitted = { ...row, parent_id: parent?.id ?? null };
      const inUse = cachedStepsInUse(store, layout.liveDir);
      const { ids, leftBytes } = choosePruned([...everyCachedStep(store), admitted], {
        limitBytes,
        spared: new Set([...inUse, row.id]),
      });
      if (leftBytes > limitBytes) return null;
      insertCachedStep(store, admitted);
      for (const id of ids) settleCachedStep(store, id, 'going', run.row.id);
      return ids;
    });
  }
}

function cachedStep(layout: Layout, { id, key, facts }: CachedStepRow): CachedStep {
  const directory = stepPlace(layout, id);
  return {
    id,
    key,
    rootfs: join(directory, ARTIFACT_FILES.rootfs),
    workSeed: join(directory, ARTIFACT_FILES.workSeed),
    facts: JSON.parse(facts) as CachedFacts,
  };
}

/** What it takes beside what it shares with the state before it, and what of that it shares with the base. */
async function measure(
  files: Pick<CachedStep, 'rootfs' | 'workSeed'>,
  { kind, parent, base }: StepDraft,
  signal: AbortSignal,
): Promise<Pick<CachedStepRow, 'bytes' | 'base' | 'base_bytes'>> {
  const before = parent?.rootfs ?? base;
  const own = await extentsOrLength(files.rootfs, signal);
  const others = Array.isArray(own) && before !== null ? await extentsOrLength(before, signal) : 0;
  const seed = kind === 'result' ? await extentsOrLength(files.workSeed, signal) : 0;
  const seedBytes = Array.isArray(seed) ? lengthOf(seed) : seed;
  if (!Array.isArray(own)) return { bytes: own + seedBytes, base: null, base_bytes: 0 };
  const bytes = Array.isArray(others) ? lengthWithout(own, others) : lengthOf(own);
  const sharedWithBase = parent === null ? lengthOf(own) - bytes : 0;
  if (base === null || sharedWithBase === 0) return { bytes: bytes + seedBytes, base: null, base_bytes: 0 };
  const { dev, ino } = await stat(base);
  return { bytes: bytes + seedBytes, base: `${dev}:${ino}`, base_bytes: sharedWithBase };
}

const SECTOR = 512;

/** Where a file lies; where the filesystem cannot say, how much it takes, in bytes. */
async function extentsOrLength(path: string, signal: AbortSignal): Promise<Extent[] | number> {
  return (await extentsOf(path, signal)) ?? (await stat(path)).blocks * SECTOR;
}
