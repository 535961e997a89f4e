import { BangerError } from '../errors.ts';
import { sql } from './compiler.ts';
import type { LockRow, RunRow } from './schema.ts';
import type { Store } from './store.ts';

export type LockState = LockRow & { holder: RunRow | null };

/** The lock row with the run that holds it, for judging and for messages. */
export function readLock(store: Store): LockState {
  const row = store.get(sql.selectFrom('lock').selectAll());
  if (row === undefined) {
    throw new BangerError('corrupt', `${store.path}: is damaged: its lock row is missing`, {
      hints: ['banger doctor'],
    });
  }
  const holder =
    row.run_id === null ? null : store.get(sql.selectFrom('runs').selectAll().where('id', '=', row.run_id));
  return { ...row, holder: holder ?? null };
}

/** Writes a fresh epoch with its owner. Call inside a write transaction. */
export function takeLock(store: Store, runId: string): number {
  const { epoch } = readLock(store);
  store.change(
    sql.updateTable('lock').set({ epoch: epoch + 1, run_id: runId, acquired_at: new Date().toISOString() }),
  );
  return epoch + 1;
}

/** Clears the owner, only while the epoch is still the caller's; tells whether it was. */
export function clearLock(store: Store, epoch: number): boolean {
  return (
    store.change(
      sql.updateTable('lock').set({ run_id: null, acquired_at: null }).where('epoch', '=', epoch),
    ) === 1
  );
}

/** Whether `epoch` is still the newest: the check that a transaction which publishes makes (fencing). */
export function epochIs(store: Store, epoch: number): boolean {
  return readLock(store).epoch === epoch;
}
