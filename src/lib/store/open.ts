import { statSync } from 'node:fs';
import type Sqlite from 'better-sqlite3';
import { BangerError, PreflightError } from '../errors.ts';
import type { Layout } from '../layout.ts';
import { isMissing } from '../system/filesystem.ts';
import { isBusy, sqliteCode, storeError } from './errors.ts';
import { Reserve } from './reserve.ts';
import { readResting } from './resting.ts';
import { openSqlite } from './sqlite.ts';
import { BUSY_TIMEOUT_MS, Store } from './store.ts';
import { APPLICATION_ID, SCHEMA_VERSION } from './version.ts';
import { describeWriter } from './writer.ts';

/**
 * Opens the registry for reading; null when there is none yet. Creates nothing but SQLite's own -wal and -shm, and where
 * not even these can be made, nothing.
 */
export function openForReading(layout: Layout): Store | null {
  const { database } = layout;
  if (isMissing(database)) return null;
  refuseSpecialFile(database);
  const reserve = new Reserve(layout.reserve);
  const open = (file: string | Buffer): Store | null => {
    const sqlite = openSqlite(file, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    try {
      const version = versionOf(sqlite, database);
      if (version === 0) {
        sqlite.close();
        return null;
      }
      if (version < SCHEMA_VERSION - 1) throw tooOldToRead(database, version);
      return new Store(database, sqlite, reserve);
    } catch (error) {
      sqlite.close();
      throw error;
    }
  };
  try {
    return reserve.lend(() => open(database));
  } catch (error) {
    const whole = /^SQLITE_(CANTOPEN|READONLY)/u.test(sqliteCode(error) ?? '') ? readResting(database) : null;
    if (whole === null) throw busyOr(error, database);
    try {
      return open(whole);
    } catch (unreadable) {
      throw storeError(unreadable, database);
    }
  }
}

function busyOr(error: unknown, path: string): unknown {
  return storeError(error, path, isBusy(error) ? describeWriter(undefined, path) : null);
}

/** SQLite would wait for the writer of a FIFO. */
function refuseSpecialFile(path: string): void {
  try {
    if (statSync(path).isFile()) return;
  } catch {
    // Missing, or out of reach: SQLite says why.
    return;
  }
  throw new PreflightError('registry', [
    { message: `${path} is not a regular file`, mend: 'choose another place: --state-dir DIR' },
  ]);
}

/**
 * Opens the registry for changes, making or migrating it as needed.
 * @param isAlive tells whether a run still lives; a migration does not pull the schema from under one
 */
export async function openForWriting(layout: Layout, isAlive: (runId: string) => boolean): Promise<Store> {
  const reserve = new Reserve(layout.reserve);
  refuseSpecialFile(layout.database);
  let sqlite: Sqlite.Database | undefined;
  try {
    sqlite = reserve.retryOnceWithout(() => {
      const opened = openSqlite(layout.database, { timeout: BUSY_TIMEOUT_MS });
      try {
        versionOf(opened, layout.database);
        // Not for a new one alone: a copy that was put back need not be in WAL mode.
        becomeWal(opened, layout.database);
        opened.pragma('synchronous = FULL');
      } catch (error) {
        opened.close();
        throw error;
      }
      return opened;
    });
    if (versionOf(sqlite, layout.database) < SCHEMA_VERSION) {
      const [{ migrate }, { migrations }] = await Promise.all([
        import('./migrate.ts'),
        import('./migrations/index.ts'),
      ]);
      migrate(sqlite, layout.database, migrations, isAlive);
      versionOf(sqlite, layout.database);
    }
    sqlite.pragma('foreign_keys = ON');
    reserve.takeBack();
    reserve.fill();
    return new Store(layout.database, sqlite, reserve);
  } catch (error) {
    sqlite?.close();
    reserve.takeBack();
    throw busyOr(error, layout.database);
  }
}

/** Two first runs may race to switch the journal mode, which SQLite answers with BUSY without waiting. */
function becomeWal(sqlite: Sqlite.Database, path: string): void {
  const deadline = performance.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      const mode = sqlite.pragma('journal_mode = WAL', { simple: true });
      if (mode === 'wal') return;
      throw new BangerError('preflight_failed', `${path} cannot be put into WAL mode (it stays ${mode})`, {
        hints: ['choose a local directory: --state-dir DIR'],
      });
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

/** The number of migrations a database has had; 0 for an empty file. Refuses what is not ours, or newer than we are. */
function versionOf(sqlite: Sqlite.Database, path: string): number {
  const pragma = (name: string): number => Number(sqlite.pragma(name, { simple: true }));
  // Of one moment: another process may be making it just now.
  const { application, version, tables } = sqlite
    .transaction(() => ({
      application: pragma('application_id'),
      version: pragma('user_version'),
      tables: sqlite.prepare('SELECT count(*) FROM sqlite_schema').pluck().get(),
    }))
    .deferred();
  if (application !== APPLICATION_ID) {
    if (application === 0 && version === 0 && tables === 0) return 0;
    throw new PreflightError('registry', [
      {
        message: `${path} is a SQLite database of another program`,
        mend: 'choose another place: --state-dir DIR',
      },
    ]);
  }
  if (version > SCHEMA_VERSION) {
    throw new PreflightError('registry', [
      {
        message: `${path} was written by a newer banger (schema ${version}, this one knows ${SCHEMA_VERSION})`,
        mend: 'install the newer banger again, or choose another place: --state-dir DIR',
      },
    ]);
  }
  return version;
}

function tooOldToRead(path: string, version: number): BangerError {
  return new BangerError('preflight_failed', `${path} has schema ${version}, too old to be read as it is`, {
    hints: ['run any command that changes images; it brings the registry up to date'],
  });
}
