import { shortId } from '../id.ts';
import type { Layout } from '../layout.ts';
import { foreignKeyViolations } from '../store/integrity.ts';
import { isRunAlive } from '../store/liveness.ts';
import { operationById, runningOperations } from '../store/operations.ts';
import { allReservations, releaseReservations } from '../store/reservations.ts';
import type { Store } from '../store/store.ts';
import { oneLine, shellWord } from '../text.ts';
import { curable, type Diagnosis, incurable } from './finding.ts';

/** The database as SQLite sees it, and what its rows say of each other. */
export function examineRegistry(store: Store, layout: Layout): Diagnosis[] {
  const integrity = String(store.pragma('integrity_check'));
  if (integrity !== 'ok') {
    const { path } = store;
    return [
      incurable(
        { problem: 'damaged_registry', path, detail: `the registry is damaged: ${oneLine(integrity)}` },
        // sqlite.org, "Recovering Data From A Corrupt SQLite Database"
        `sqlite3 ${shellWord(path)} .recover | sqlite3 ${shellWord(`${path}.recovered`)}`,
      ),
    ];
  }
  return [...examineForeignKeys(store), ...examineOperations(store, layout), ...examineReservations(store)];
}

function examineForeignKeys(store: Store): Diagnosis[] {
  return foreignKeyViolations(store).map(({ table, rowid, parent }) =>
    incurable(
      {
        problem: 'dangling_row',
        path: store.path,
        detail: `row ${rowid} of ${table} refers to a row of ${parent} that is not there`,
      },
      `sqlite3 ${shellWord(store.path)} 'SELECT * FROM ${table} WHERE rowid = ${rowid}'`,
    ),
  );
}

function examineOperations(store: Store, layout: Layout): Diagnosis[] {
  return runningOperations(store)
    .filter(({ run_id }) => !isRunAlive(layout.liveDir, run_id))
    .flatMap(({ id, kind, image_name, run_id }) => {
      // It may have ended since its row was read.
      const now = operationById(store, id);
      if (now?.state !== 'running' || now.run_id !== run_id) return [];
      return curable(
        {
          problem: 'dead_operation',
          image: image_name,
          detail: `${kind} ${image_name} (${shortId(id)}) died before it ended`,
        },
        'undo or complete it, as any command that changes images does',
        // Taking the lock has done so, if it could.
        (ground) => operationById(ground.store, id)?.state !== 'running',
      );
    });
}

/** A name or an image that is kept for an operation that is over would be kept for ever. */
function examineReservations(store: Store): Diagnosis[] {
  return allReservations(store)
    .filter(({ operation }) => operation.state !== 'running')
    .map(({ kind, key, operation }) =>
      curable(
        {
          problem: 'stale_reservation',
          detail: `the ${kind} ${key} is reserved for ${operation.kind} ${operation.image_name} (${shortId(operation.id)}), which is over`,
        },
        'let go of it',
        (ground) => {
          if (operationById(ground.store, operation.id)?.state === 'running') return false;
          releaseReservations(ground.store, operation.id);
          return true;
        },
      ),
    );
}
