import type Sqlite from 'better-sqlite3';
import { BangerError } from '../errors.ts';
import { renameDurably, syncFile } from '../system/durable.ts';
import { removeFile } from '../system/remove.ts';
import { oneLine } from '../text.ts';
import { openSqlite } from './sqlite.ts';
import { APPLICATION_ID } from './version.ts';

/**
 * Brings a database up to the newest of `migrations`, all in one transaction. One that holds data is copied aside
 * first (`<path>.v<version>`), and changed only while nothing else is at work on it. Foreign keys are off afterwards.
 * @throws BangerError `busy` while a run is alive that may write with the schema it knows
 */
export function migrate(
  sqlite: Sqlite.Database,
  path: string,
  migrations: Readonly<Record<string, string>>,
  isAlive: (runId: string) => boolean,
): void {
  const scripts = Object.values(migrations);
  // Without effect inside a transaction; with it, rebuilding a table would delete what refers to it
  // (sqlite.org/lang_altertable.html, section 7).
  sqlite.pragma('foreign_keys = OFF');
  sqlite
    .transaction(() => {
      const from = Number(sqlite.pragma('user_version', { simple: true }));
      // Another process, perhaps a newer one, came first while this one waited for the write lock.
      if (from >= scripts.length) return;
      if (from > 0) {
        refuseWhileInUse(sqlite, path, isAlive);
        copyAside(path, `${path}.v${from}`);
      }
      for (const script of scripts.slice(from)) sqlite.exec(script);
      const [orphan] = sqlite.pragma('foreign_key_check') as { table: string }[];
      if (orphan)
        throw new Error(`${path}: a migration left a row of ${orphan.table} without what it refers to`);
      sqlite.pragma(`application_id = ${APPLICATION_ID}`);
      sqlite.pragma(`user_version = ${scripts.length}`);
    })
    .immediate();
}

/** Whole or not at all: made beside its name, synced, renamed. The caller's write lock keeps everybody else out. */
function copyAside(path: string, copy: string): void {
  const partial = `${copy}.partial`;
  removeFile(partial);
  // VACUUM works in no transaction, so not on the connection that has the lock.
  const reader = openSqlite(path, { readonly: true, fileMustExist: true });
  try {
    reader.prepare('VACUUM INTO ?').run(partial);
  } finally {
    reader.close();
  }
  syncFile(partial);
  renameDurably(partial, copy);
}

function refuseWhileInUse(sqlite: Sqlite.Database, path: string, isAlive: (runId: string) => boolean): void {
  const runs = sqlite.prepare('SELECT id, command FROM runs').all() as { id: string; command: string }[];
  const live = runs.find((run) => isAlive(run.id));
  if (live === undefined) return;
  throw new BangerError(
    'busy',
    `${path}: its format is older and cannot be changed while '${oneLine(live.command)}' runs`,
    {
      hints: ['wait for it, then run the command again', 'banger operation list'],
    },
  );
}
