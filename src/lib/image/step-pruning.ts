import type { CachedStepRow } from '../store/schema.ts';

export type SizedStep = Pick<
  CachedStepRow,
  'id' | 'parent_id' | 'state' | 'bytes' | 'base' | 'base_bytes' | 'used_at'
>;

/** What steps take on the disk, in bytes: what they share with each other, or with one base, counts once. */
export function totalBytes(steps: readonly SizedStep[]): number {
  const bases = new Map<string, number>();
  let total = 0;
  for (const { bytes, base, base_bytes } of steps) {
    total += bytes;
    if (base !== null) bases.set(base, Math.max(bases.get(base) ?? 0, base_bytes));
  }
  return [...bases.values()].reduce((sum, bytes) => sum + bytes, total);
}

export interface PruneLimits {
  /** What may be left, in bytes. */
  limitBytes: number;
  /** Only what was of no use since then (ISO 8601). */
  unusedSince?: string;
  /** Not to be removed: somebody is using them. */
  spared: ReadonlySet<string>;
}

/** Which steps go, in their order, and what the rest takes, in bytes. */
export interface Pruning {
  ids: string[];
  leftBytes: number;
}

/**
 * Chooses what goes until no more than a limit is left, as far as that can be: those first that have been of no use for
 * longest. A step goes after those that were made from it, which share its extents.
 */
export function choosePruned(
  steps: readonly SizedStep[],
  { limitBytes, unusedSince, spared }: PruneLimits,
): Pruning {
  let left = [...steps];
  const ids: string[] = [];
  for (;;) {
    const leftBytes = totalBytes(left);
    const oldest = leftBytes > limitBytes ? oldestLeaf(left, spared) : undefined;
    if (oldest === undefined || (unusedSince !== undefined && oldest.used_at >= unusedSince)) {
      return { ids, leftBytes };
    }
    ids.push(oldest.id);
    left = left.filter(({ id }) => id !== oldest.id);
  }
}

function oldestLeaf(steps: readonly SizedStep[], spared: ReadonlySet<string>): SizedStep | undefined {
  const parents = new Set(steps.map(({ parent_id }) => parent_id));
  const [oldest] = steps
    .filter(({ id, state }) => state === 'kept' && !spared.has(id) && !parents.has(id))
    .sort((one, other) => (one.used_at < other.used_at ? -1 : 1));
  return oldest;
}

export type ChainedStep = Pick<CachedStepRow, 'id' | 'key' | 'before_key' | 'inputs'>;

/** What is kept under a key, and all that was made from it, be it as the next step or by what was copied from it. */
export function madeFrom<Step extends ChainedStep>(steps: readonly Step[], key: string): Step[] {
  const found = new Set(steps.filter((step) => step.key === key));
  const keys = new Set([key]);
  for (let before = -1; before < keys.size; ) {
    before = keys.size;
    for (const step of steps) {
      // Keys are too long to be part of anything else.
      const isFrom = [...keys].some((one) => step.before_key === one || step.inputs.includes(one));
      if (!isFrom) continue;
      found.add(step);
      keys.add(step.key);
    }
  }
  return [...found];
}
