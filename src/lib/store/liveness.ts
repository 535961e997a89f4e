import { readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type Sqlite from 'better-sqlite3';
import { errnoOf } from '../errors.ts';
import { newId } from '../id.ts';
import { isMissing } from '../system/filesystem.ts';
import { removeFile } from '../system/remove.ts';
import { sql } from './compiler.ts';
import { isBusy, sqliteCode } from './errors.ts';
import type { RunRow } from './schema.ts';
import { openSqlite } from './sqlite.ts';
import type { Store } from './store.ts';

const SUFFIX = '.lock';

/** This process as a run: alive to everybody as long as the kernel keeps its lock on `live/<id>.lock`. */
export interface Run {
  readonly row: RunRow;
  /** Ends it; the kernel does the same for a process that dies. */
  end(): void;
}

function livePath(liveDir: string, runId: string): string {
  return join(liveDir, `${runId}${SUFFIX}`);
}

/**
 * Makes this process a run. File, lock and row are made inside one write transaction, so that `sweepDeadRuns`, which
 * runs inside one too, never meets a file that is not locked yet.
 */
export function beginRun(store: Store, liveDir: string, command: string): Run {
  const row: RunRow = {
    id: newId(),
    pid: process.pid,
    host: hostname(),
    command,
    started_at: new Date().toISOString(),
  };
  const lock = liveLock(livePath(liveDir, row.id));
  try {
    store.write(() => {
      lock.take();
      store.change(sql.insertInto('runs').values(row));
    });
  } catch (error) {
    lock.drop();
    throw error;
  }
  return {
    row,
    end() {
      try {
        store.write(() => store.change(sql.deleteFrom('runs').where('id', '=', row.id)));
      } finally {
        lock.drop();
      }
    },
  };
}

/** The lock on a run's own file. POSIX locks belong to the process and die with it, across PID namespaces. */
function liveLock(path: string): { take(): void; drop(): void } {
  let held: Sqlite.Database | undefined;
  return {
    take() {
      if (held) return;
      const live = openSqlite(path, { timeout: 0 });
      try {
        // Nothing is ever written to it: a journal file would only be one more thing to leave behind.
        live.pragma('journal_mode = MEMORY');
        live.exec('BEGIN EXCLUSIVE');
      } catch (error) {
        live.close();
        throw error;
      }
      held = live;
    },
    drop() {
      try {
        removeFile(path);
      } finally {
        held?.close();
      }
    },
  };
}

/** Whether a run still holds its lock: true for one that is stopped, false for one that was killed. */
export function isRunAlive(liveDir: string, runId: string): boolean {
  let probe: Sqlite.Database;
  try {
    probe = openSqlite(livePath(liveDir, runId), { readonly: true, fileMustExist: true, timeout: 0 });
  } catch (error) {
    // What fails may be we (a lack of descriptors, say): only a file that is not there speaks for death.
    if (isMissing(livePath(liveDir, runId))) return false;
    throw error;
  }
  try {
    probe.pragma('schema_version');
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    // Whatever it holds, it was read: nobody locks it.
    if (sqliteCode(error) === 'SQLITE_NOTADB') return false;
    throw error;
  } finally {
    probe.close();
  }
}

/**
 * The runs that died, with what they left in `live/` removed. Call inside a write transaction. Their rows stay until
 * `forgetRuns`, so that a crash in between finds them again.
 */
export function sweepDeadRuns(store: Store, liveDir: string): string[] {
  const known = store.all(sql.selectFrom('runs').select('id')).map((row) => row.id);
  const owners = store
    .all(sql.selectFrom('operations').select('run_id').distinct().where('state', '=', 'running'))
    .map((row) => row.run_id);
  let files: string[] = [];
  try {
    files = readdirSync(liveDir, { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(SUFFIX))
      .map((entry) => entry.name);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const candidates = new Set([...known, ...owners, ...files.map((name) => name.slice(0, -SUFFIX.length))]);
  return [...candidates].filter((id) => {
    if (isRunAlive(liveDir, id)) return false;
    removeFile(livePath(liveDir, id));
    return true;
  });
}

/** Drops the rows of runs that are over. */
export function forgetRuns(store: Store, ids: readonly string[]): void {
  if (ids.length > 0) store.change(sql.deleteFrom('runs').where('id', 'in', [...ids]));
}
