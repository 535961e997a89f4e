import { BangerError } from './errors.ts';
import { shortId } from './id.ts';
import type { Layout } from './layout.ts';
import { isRunAlive } from './store/liveness.ts';
import {
  eventsOf,
  listOperations,
  operationById,
  operationsByIdPrefix,
  requestCancel,
  runningOperations,
} from './store/operations.ts';
import type { OperationRow } from './store/schema.ts';
import type { Store } from './store/store.ts';
import { oneLine } from './text.ts';
import type { Readings } from './workspace.ts';

/** An operation as `--json` prints it. `alive` is the kernel's word on a running one; null for one that ended. */
export type OperationJson = Omit<OperationRow, 'planned_image' | 'run_id'> & { alive: boolean | null };

export type ShownOperation = OperationJson & {
  events: { at: string; stage: string; event: string; message: string | null }[];
};

function operationJson(store: Store, layout: Layout, row: OperationRow): OperationJson {
  const isAlive = row.state === 'running' && isRunAlive(layout.liveDir, row.run_id);
  if (row.state === 'running' && !isAlive) {
    // It may have ended since its row was read: then the row tells, or who has claimed it.
    const now = operationById(store, row.id);
    if (now && (now.state !== 'running' || now.run_id !== row.run_id))
      return operationJson(store, layout, now);
  }
  const { planned_image: _planned, run_id: _run, ...rest } = row;
  return { ...rest, alive: row.state === 'running' ? isAlive : null };
}

/** The journal, newest first; with `running` only operations whose run lives. */
export function listJournal(
  { store, layout }: Pick<Readings, 'store' | 'layout'>,
  options: { running: boolean; limit: number },
): OperationJson[] {
  if (store === null) return [];
  if (!options.running) {
    return listOperations(store, options.limit).map((row) => operationJson(store, layout, row));
  }
  return runningOperations(store)
    .map((row) => operationJson(store, layout, row))
    .filter((operation) => operation.alive)
    .reverse()
    .slice(0, options.limit);
}

/** @throws BangerError `not_found`; `usage` for an ambiguous beginning of an id */
export function showOperation(
  { store, layout }: Pick<Readings, 'store' | 'layout'>,
  ref: string,
): ShownOperation {
  const row = findOperation(store, ref);
  if (store === null) throw new Error('an operation was found in no registry');
  const events = eventsOf(store, row.id).map(({ at, stage, event, message }) => ({
    at,
    stage,
    event,
    message,
  }));
  return { ...operationJson(store, layout, row), events };
}

/**
 * Leaves the mark that the owner of a running operation looks for.
 * @throws BangerError `conflict` for one that is over or dead; `not_found`, `usage` as `showOperation` does
 */
export function cancelOperation(store: Store | null, layout: Layout, ref: string): OperationJson {
  const row = findOperation(store, ref);
  if (store === null) throw new Error('an operation was found in no registry');
  const name = `${row.kind} ${row.image_name} (${shortId(row.id)})`;
  if (operationJson(store, layout, row).alive === false) {
    throw new BangerError('conflict', `${name} is dead: its process was killed`, {
      hints: ['nothing is to be done: the next command that changes images cleans up after it'],
    });
  }
  const marked = store.write(() => requestCancel(store, row.id));
  const now = operationById(store, row.id) ?? row;
  if (marked) return operationJson(store, layout, now);
  throw new BangerError('conflict', `${name} is over: ${now.state}`, {
    hints: [`banger operation show ${shortId(row.id)}`],
  });
}

function findOperation(store: Store | null, ref: string): OperationRow {
  if (store !== null && /^[0-9a-f]{4,32}$/u.test(ref)) {
    const exact = operationById(store, ref);
    if (exact) return exact;
    const candidates = operationsByIdPrefix(store, ref);
    const [only] = candidates;
    if (candidates.length === 1 && only) return only;
    if (candidates.length > 1) {
      throw new BangerError('usage', `${ref} is the beginning of ${candidates.length} operation ids`, {
        hints: candidates.slice(0, 10).map((row) => `${shortId(row.id)}  ${row.kind} ${row.image_name}`),
      });
    }
  }
  throw new BangerError('not_found', `no operation '${oneLine(ref).slice(0, 80)}'`, {
    hints: ['banger operation list'],
  });
}
