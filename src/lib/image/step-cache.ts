import { rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeCachedSteps, stepPlace } from '../cached-steps.ts';
import type { CacheCopies } from '../config.ts';
import { messageOf } from '../errors.ts';
import { newId } from '../id.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import {
  cachedStepById,
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
import { renameDurably, syncTree } from '../system/durable.ts';
import { type Extent, extentsOf, lengthOf, lengthWithout } from '../system/extents.ts';
import { filesystemOf } from '../system/filesystem.ts';
import { makePrivateDirectory } from '../system/private-directory.ts';
import type { CachedFacts } from './build-program.ts';
import { type CachedStep, cachedStep, type KeptGround, KeptSteps } from './kept-steps.ts';
import type { StepInput } from './step-key.ts';
import { choosePruned, madeFrom } from './step-pruning.ts';
import { stampOf } from './step-stamp.ts';

export interface CacheGround extends KeptGround {
  run: Run;
  /** How much the cache may take on the disk, in bytes. */
  limitBytes: number;
  copies: CacheCopies;
  signal: AbortSignal;
  /** Something that went wrong and is left to the next command. */
  tell(message: string): void;
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

/** The states of builds that are kept, and how they come to be kept. */
export class StepCache extends KeptSteps {
  readonly #ground: CacheGround;

  constructor(ground: CacheGround) {
    super(ground);
    this.#ground = ground;
  }

  /** 0: nothing is kept. */
  get limitBytes(): number {
    return this.#ground.limitBytes;
  }

  /** What is kept where extents cannot be shared. */
  get copies(): CacheCopies {
    return this.#ground.copies;
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
    try {
      renameDurably(directory, stepPlace(layout, row.id));
      store.write(() => {
        settleCachedStep(store, row.id, 'kept', run.row.id);
        useCachedStep(store, row.id, run.row.id);
        if (parent !== null) stopUsingCachedStep(store, parent.id, run.row.id);
      });
    } catch (error) {
      await this.#remove([row.id]);
      throw error;
    }
    await this.#remove(pruned);
    return cachedStep(layout, row);
  }

  /** Forgets what is kept of a step that was done anew, and all that was made from it, but for what somebody is using. */
  async supersede(key: string): Promise<void> {
    const { store, layout, run } = this.#ground;
    const ids = store.write(() => {
      const inUse = cachedStepsInUse(store, layout.liveDir);
      const gone = madeFrom(everyCachedStep(store), key)
        .filter(({ id, state }) => state === 'kept' && !inUse.has(id))
        .map(({ id }) => id);
      for (const id of gone) settleCachedStep(store, id, 'going', run.row.id);
      return gone;
    });
    await this.#remove(ids);
  }

  /** What cannot be removed now is marked for whoever takes the lock after this run. */
  async #remove(ids: readonly string[]): Promise<void> {
    const { store, layout, tell } = this.#ground;
    try {
      await removeCachedSteps({ store, layout }, ids);
    } catch (error) {
      tell(`a step that is not kept any more could not be removed: ${messageOf(error)}`);
    }
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

/** Where no two files share extents; that need not be asked there, which takes a program. */
const SHARING_NOTHING = ['ext4', 'tmpfs'];

/** Where a file lies; where it shares that with none, or nobody can say, how much it takes, in bytes. */
async function extentsOrLength(path: string, signal: AbortSignal): Promise<Extent[] | number> {
  const { blocks, nlink } = await stat(path);
  const sharesNothing = nlink === 1 && SHARING_NOTHING.includes(filesystemOf(path).name);
  const extents = sharesNothing ? null : await extentsOf(path, signal);
  return extents ?? blocks * SECTOR;
}
