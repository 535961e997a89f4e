import { sql } from './compiler.ts';
import { isRunAlive } from './liveness.ts';
import type { CachedStepRow } from './schema.ts';
import type { Store } from './store.ts';

/** The schema that brought cached steps. */
const SINCE = 3;

/** All that are kept, the one that was used last first. */
export function listCachedSteps(store: Store): CachedStepRow[] {
  if (Number(store.pragma('user_version')) < SINCE) return [];
  const all = sql.selectFrom('cached_steps').selectAll().where('state', '=', 'kept');
  return store.all(all.orderBy('used_at', 'desc').orderBy('created_at', 'desc').orderBy('id'));
}

/** Every row, whatever its state. */
export function everyCachedStep(store: Store): CachedStepRow[] {
  return store.all(sql.selectFrom('cached_steps').selectAll());
}

export function cachedStepById(store: Store, id: string): CachedStepRow | undefined {
  return store.get(sql.selectFrom('cached_steps').selectAll().where('id', '=', id));
}

/** The newest that is kept under a key. */
export function cachedStepByKey(
  store: Store,
  column: 'key' | 'state_key',
  key: string,
): CachedStepRow | undefined {
  const kept = sql.selectFrom('cached_steps').selectAll().where(column, '=', key).where('state', '=', 'kept');
  return store.get(kept.orderBy('created_at', 'desc').limit(1));
}

/** What is kept of steps that began from the same state; null: of first steps. */
export function cachedStepsAfter(store: Store, stateKey: string | null): CachedStepRow[] {
  const kept = sql.selectFrom('cached_steps').selectAll().where('state', '=', 'kept');
  return store.all(
    stateKey === null ? kept.where('before_key', 'is', null) : kept.where('before_key', '=', stateKey),
  );
}

export function insertCachedStep(store: Store, row: CachedStepRow): void {
  store.change(sql.insertInto('cached_steps').values(row));
}

/** Forgets a step. One that had others after it, because its files were lost, leaves them what it shared with them. */
export function deleteCachedStep(store: Store, id: string): void {
  const row = cachedStepById(store, id);
  if (row === undefined) return;
  const children = sql.selectFrom('cached_steps').selectAll().where('parent_id', '=', id);
  for (const child of store.all(children)) {
    const { bytes, parent_id, base, base_bytes } = row;
    const inherited = { bytes: child.bytes + bytes, parent_id, base, base_bytes };
    store.change(sql.updateTable('cached_steps').set(inherited).where('id', '=', child.id));
  }
  store.change(sql.deleteFrom('cached_steps').where('id', '=', id));
}

/** Its files are there, or are about to be removed, by a run. False when the row is gone. */
export function settleCachedStep(
  store: Store,
  id: string,
  state: CachedStepRow['state'],
  runId: string,
): boolean {
  return (
    store.change(sql.updateTable('cached_steps').set({ state, run_id: runId }).where('id', '=', id)) === 1
  );
}

/** A step was of use just now, and so were those before it. */
export function touchCachedStep(store: Store, id: string, at: string): void {
  for (let next: string | null = id; next !== null; ) {
    store.change(sql.updateTable('cached_steps').set({ used_at: at }).where('id', '=', next));
    next = cachedStepById(store, next)?.parent_id ?? null;
  }
}

/** Keeps a step from being removed for as long as a run lives, or until it is done with it. */
export function useCachedStep(store: Store, id: string, runId: string): void {
  store.change(
    sql
      .insertInto('step_uses')
      .values({ step_id: id, run_id: runId })
      .onConflict((conflict) => conflict.doNothing()),
  );
}

export function stopUsingCachedStep(store: Store, id: string, runId: string): void {
  store.change(sql.deleteFrom('step_uses').where('step_id', '=', id).where('run_id', '=', runId));
}

/** The steps that runs that live are using. */
export function cachedStepsInUse(store: Store, liveDir: string): Set<string> {
  const uses = store.all(sql.selectFrom('step_uses').selectAll());
  const alive = new Map(
    [...new Set(uses.map((use) => use.run_id))].map((id) => [id, isRunAlive(liveDir, id)]),
  );
  return new Set(uses.filter((use) => alive.get(use.run_id)).map((use) => use.step_id));
}

/** Claims what dead runs were about to keep or to remove. Call while holding the lock, inside a transaction. */
export function claimUnsettledSteps(store: Store, liveDir: string, runId: string): string[] {
  const unsettled = sql.selectFrom('cached_steps').select(['id', 'run_id']).where('state', '!=', 'kept');
  const orphans = store
    .all(unsettled)
    .filter((row) => row.run_id !== runId && !isRunAlive(liveDir, row.run_id));
  for (const { id } of orphans) settleCachedStep(store, id, 'going', runId);
  return orphans.map(({ id }) => id);
}
