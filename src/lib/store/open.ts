import { existsSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { BangerError, PreflightError } from '../errors.ts';
import type { Layout } from '../layout.ts';
import { isBusy, storeError } from './errors.ts';
import { Reserve } from './reserve.ts';
import { BUSY_TIMEOUT_MS, Store } from './store.ts';

/** `bang` in ASCII: marks a SQLite file as ours (PRAGMA application_id). */
export const APPLICATION_ID = 0x62616e67;
/** How many migrations this program knows; the list itself is loaded only to run one. */
export const SCHEMA_VERSION = 1;

/** Opens the registry for reading; null when there is none yet. Creates nothing. */
export function openForReading(layout: Layout): Store | null {
  if (!existsSync(layout.database)) return null;
  const reserve = new Reserve(layout.reserve);
  try {
    return reserve.retryOnceWithout(() => {
      const sqlite = new Sqlite(layout.database, {
        readonly: true,
        fileMustExist: true,
        timeout: BUSY_TIMEOUT_MS,
      });
      try {
        const version = versionOf(sqlite, layout.database);
        if (version === 0) {
          sqlite.close();
          return null;
        }
        if (version < SCHEMA_VERSION - 1) throw tooOldToRead(layout.database, version);
        return new Store(layout.database, sqlite, reserve);
      } catch (error) {
        sqlite.close();
        throw error;
      }
    });
  } catch (error) {
    throw storeError(error, layout.database);
  }
}

/**
 * Opens the registry for changes, making or migrating it as needed.
 * @param isAlive tells whether a run still lives; a migration does not pull the schema from under one
 */
export async function openForWriting(layout: Layout, isAlive: (runId: string) => boolean): Promise<Store> {
  const reserve = new Reserve(layout.reserve);
  let sqlite: Sqlite.Database | undefined;
  try {
    sqlite = reserve.retryOnceWithout(() => {
      const opened = new Sqlite(layout.database, { timeout: BUSY_TIMEOUT_MS });
      try {
        const version = versionOf(opened, layout.database);
        if (version === 0) becomeWal(opened);
        opened.pragma('synchronous = FULL');
        opened.pragma('foreign_keys = ON');
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
    }
    reserve.fill();
    return new Store(layout.database, sqlite, reserve);
  } catch (error) {
    sqlite?.close();
    throw storeError(error, layout.database);
  }
}

/** Two first runs may race to switch the journal mode, which SQLite answers with BUSY without waiting. */
function becomeWal(sqlite: Sqlite.Database): void {
  const deadline = Date.now() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      sqlite.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

/** The number of migrations a database has had; 0 for an empty file. Refuses what is not ours, or newer than we are. */
function versionOf(sqlite: Sqlite.Database, path: string): number {
  const application = sqlite.pragma('application_id', { simple: true });
  const version = Number(sqlite.pragma('user_version', { simple: true }));
  if (application !== APPLICATION_ID) {
    const tables = sqlite.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number };
    if (application === 0 && version === 0 && tables.n === 0) return 0;
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
