import { removeCachedSteps } from '../cached-steps.ts';
import { BangerError } from '../errors.ts';
import {
  cachedStepsInUse,
  everyCachedStep,
  listCachedSteps,
  settleCachedStep,
} from '../store/cached-steps.ts';
import type { CachedStepRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { oneLine } from '../text.ts';
import type { Readings, Workspace } from '../workspace.ts';
import {
  bytesOfMounts,
  type CachedMountJson,
  chooseMounts,
  listMounts,
  removeHalfRemoved,
  removeMount,
} from './cache-mounts.ts';
import type { StepInput } from './step-key.ts';
import { choosePruned, totalBytes } from './step-pruning.ts';

/** A kept step as `--json` prints it. */
export interface CachedStepJson {
  id: string;
  kind: CachedStepRow['kind'];
  title: string;
  parent_id: string | null;
  /** What it takes beside what it shares with the step before it, in bytes. */
  bytes: number;
  in_use: boolean;
  created_at: string;
  used_at: string;
}

export interface CacheListing {
  steps: CachedStepJson[];
  /** What builds keep of mounts, the packages that they fetched among it. */
  mounts: CachedMountJson[];
  /** What all steps take together, in bytes: what they share counts once. */
  total_bytes: number;
  /** What all mounts take, in bytes; the limit is not theirs. */
  mounts_bytes: number;
  limit_bytes: number;
}

export async function listCache({ store, layout, config }: Readings): Promise<CacheListing> {
  const mounts = await listMounts(layout);
  const rows = store === null ? [] : listCachedSteps(store);
  const inUse =
    store === null || rows.length === 0 ? new Set<string>() : cachedStepsInUse(store, layout.liveDir);
  return {
    steps: rows.map((row) => stepJson(row, inUse)),
    mounts,
    total_bytes: totalBytes(rows),
    mounts_bytes: bytesOfMounts(mounts),
    limit_bytes: config.cacheLimit,
  };
}

function stepJson(row: CachedStepRow, inUse: ReadonlySet<string>): CachedStepJson {
  const { id, kind, title, parent_id, bytes, created_at, used_at } = row;
  return { id, kind, title, parent_id, bytes, in_use: inUse.has(id), created_at, used_at };
}

/** A kept step with what its result depends on, and the steps before it, the first one first. */
export interface ShownStep extends CachedStepJson {
  key: string;
  inputs: StepInput[];
  before: CachedStepJson[];
}

/** Least length of a prefix of an id. */
const SHORTEST = 4;

/** @throws BangerError `not_found`, `usage` for what begins several ids */
export function showCachedStep({ store, layout }: Readings, ref: string): ShownStep {
  const rows = store === null ? [] : listCachedSteps(store);
  const found = rows.filter(({ id }) => id === ref || (ref.length >= SHORTEST && id.startsWith(ref)));
  const [row] = found;
  if (store === null || row === undefined) {
    throw new BangerError('not_found', `no kept step '${oneLine(ref)}'`, { hints: ['banger cache list'] });
  }
  if (found.length > 1) {
    throw new BangerError('usage', `'${oneLine(ref)}' begins the ids of ${found.length} steps`, {
      hints: found.slice(0, 5).map(({ id }) => `banger cache show ${id}`),
    });
  }
  const inUse = cachedStepsInUse(store, layout.liveDir);
  const byId = new Map(rows.map((one) => [one.id, one]));
  const before: CachedStepJson[] = [];
  for (let next = byId.get(row.parent_id ?? ''); next; next = byId.get(next.parent_id ?? '')) {
    before.unshift(stepJson(next, inUse));
  }
  return { ...stepJson(row, inUse), key: row.key, inputs: JSON.parse(row.inputs) as StepInput[], before };
}

export interface CachePruneOptions {
  /** How much may be left, in bytes; null: nothing. */
  toBytes: number | null;
  /** Only what was of no use for so long, in milliseconds. */
  unusedForMs?: number | undefined;
}

/** What a prune of the cache would remove, or has removed. */
export interface CachePruned {
  steps: CachedStepJson[];
  mounts: CachedMountJson[];
  freed_bytes: number;
  /** What the rest takes, in bytes. */
  left_bytes: number;
}

export async function planCachePrune(
  { store, layout }: Readings,
  options: CachePruneOptions,
): Promise<CachePruned> {
  const mounts = await listMounts(layout);
  if (store === null) return withMounts({ steps: [], freed_bytes: 0, left_bytes: 0 }, mounts, options);
  return withMounts(
    store.snapshot(() => choose(store, layout.liveDir, mounts, options)),
    mounts,
    options,
  );
}

/** Removes kept steps, and what is kept of mounts, that nobody is using. */
export async function pruneCache(workspace: Workspace, options: CachePruneOptions): Promise<CachePruned> {
  const { store, layout, run, signal } = workspace;
  const mounts = await listMounts(layout);
  const steps = store.write(() => {
    const chosen = choose(store, layout.liveDir, mounts, options);
    for (const { id } of chosen.steps) settleCachedStep(store, id, 'going', run.row.id);
    return chosen;
  });
  await removeCachedSteps(
    workspace,
    steps.steps.map(({ id }) => id),
  );
  const pruned = withMounts(steps, mounts, options);
  const kept = new Set<CachedMountJson>();
  for (const mount of pruned.mounts) {
    signal.throwIfAborted();
    if (!(await removeMount(layout, mount.id, signal))) kept.add(mount);
  }
  await removeHalfRemoved(layout);
  const keptBytes = bytesOfMounts([...kept]);
  return {
    ...pruned,
    mounts: pruned.mounts.filter((mount) => !kept.has(mount)),
    freed_bytes: pruned.freed_bytes - keptBytes,
    left_bytes: pruned.left_bytes + keptBytes,
  };
}

type PrunedSteps = Omit<CachePruned, 'mounts'>;

/** Mounts go after steps, which are sooner made again. */
function withMounts(
  { steps, freed_bytes, left_bytes }: PrunedSteps,
  mounts: readonly CachedMountJson[],
  { toBytes, unusedForMs }: CachePruneOptions,
): CachePruned {
  const chosen = chooseMounts(mounts, {
    limitBytes: toBytes === null ? -1 : toBytes - left_bytes,
    unusedSince: since(unusedForMs),
  });
  const bytes = bytesOfMounts(chosen);
  return {
    steps,
    mounts: chosen,
    freed_bytes: freed_bytes + bytes,
    left_bytes: left_bytes + bytesOfMounts(mounts) - bytes,
  };
}

function since(unusedForMs: number | undefined): string | undefined {
  return unusedForMs === undefined ? undefined : new Date(Date.now() - unusedForMs).toISOString();
}

function choose(
  store: Store,
  liveDir: string,
  mounts: readonly CachedMountJson[],
  { toBytes, unusedForMs }: CachePruneOptions,
): PrunedSteps {
  const unusedSince = since(unusedForMs);
  const rows = everyCachedStep(store);
  const spared = cachedStepsInUse(store, liveDir);
  const { ids, leftBytes } = choosePruned(rows, {
    // Nothing: not even what takes no space.
    limitBytes: toBytes === null ? -1 : toBytes - bytesOfMounts(mounts),
    ...(unusedSince === undefined ? {} : { unusedSince }),
    spared,
  });
  const byId = new Map(rows.map((row) => [row.id, row]));
  return {
    steps: ids.flatMap((id) => byId.get(id) ?? []).map((row) => stepJson(row, spared)),
    freed_bytes: totalBytes(rows) - leftBytes,
    left_bytes: leftBytes,
  };
}
