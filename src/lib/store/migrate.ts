import { existsSync } from 'node:fs';
import type Sqlite from 'better-sqlite3';
import { BangerError } from '../errors.ts';
import { APPLICATION_ID } from './open.ts';

/**
 * Brings a database up to the newest of `migrations`, each with its version in one transaction. One that holds data
 * is copied aside first (`<path>.v<version>`), and only while nothing else is at work on it.
 * @throws BangerError `busy` while a live run has an operation
 */
export function migrate(
  sqlite: Sqlite.Database,
  path: string,
  migrations: Readonly<Record<string, string>>,
  isAlive: (runId: string) => boolean,
): void {
  const scripts = Object.values(migrations);
  const current = (): number => Number(sqlite.pragma('user_version', { simple: true }));
  if (current() > 0) copyAside(sqlite, `${path}.v${current()}`);
  sqlite
    .transaction(() => {
      // Another process may have come first while this one waited for the write lock.
      const from = current();
      if (from > 0) refuseWhileInUse(sqlite, path, isAlive);
      for (const [index, script] of scripts.entries()) {
        if (index < from) continue;
        sqlite.exec(script);
      }
      sqlite.pragma(`application_id = ${APPLICATION_ID}`);
      sqlite.pragma(`user_version = ${scripts.length}`);
    })
    .immediate();
}

function copyAside(sqlite: Sqlite.Database, copy: string): void {
  if (!existsSync(copy)) sqlite.prepare('VACUUM INTO ?').run(copy);
}

function refuseWhileInUse(sqlite: Sqlite.Database, path: string, isAlive: (runId: string) => boolean): void {
  const owners = sqlite
    .prepare("SELECT DISTINCT run_id, command FROM operations WHERE state = 'running'")
    .all() as {
    run_id: string;
    command: string;
  }[];
  const live = owners.find((owner) => isAlive(owner.run_id));
  if (live === undefined) return;
  throw new BangerError(
    'busy',
    `${path}: its format is older and cannot be changed while '${live.command}' runs`,
    {
      hints: ['wait for it, then run the command again', 'banger operation list'],
    },
  );
}
