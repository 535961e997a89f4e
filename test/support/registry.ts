import { randomBytes } from 'node:crypto';
import { chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import type { Home } from './cli.ts';

type Row = Record<string, unknown>;

/** A statement on a home's registry by another hand than the program's; the rows of a query. */
export function sql<T extends Row = Row>(home: Home, statement: string, ...parameters: unknown[]): T[] {
  const database = new Sqlite(join(home.stateDir, 'banger.db'));
  try {
    database.pragma('foreign_keys = ON');
    const prepared = database.prepare<unknown[], T>(statement);
    if (prepared.reader) return prepared.all(...parameters);
    prepared.run(...parameters);
    return [];
  } finally {
    database.close();
  }
}

/** A VM of an image, whatever their names, with a disk in which there is nothing. */
export function insertVm(home: Home, name: string, image: string): void {
  const id = randomBytes(16).toString('hex');
  sql(
    home,
    `INSERT INTO vms (id, name, image_id, created_at) SELECT ?, ?, id, '2026-01-01T00:00:00.000Z' FROM images WHERE name = ?`,
    ...[id, name, image],
  );
  const directory = join(home.stateDir, 'vms', id);
  const disk = join(directory, 'rootfs.ext4');
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(disk, '', { mode: 0o600 });
  for (const path of [directory, disk]) chownSync(path, home.account.uid, home.account.gid);
}

/** Takes back all that `insertVm` did. */
export function removeVms(home: Home): void {
  sql(home, 'DELETE FROM vms');
  const vmsDir = join(home.stateDir, 'vms');
  for (const name of readdirSync(vmsDir)) rmSync(join(vmsDir, name), { recursive: true });
}

/** The stages of the newest operation of a kind, in the order in which they began. */
export function stagesOf(home: Home, kind: string): string[] {
  return sql<{ stage: string }>(
    home,
    `SELECT stage FROM operation_events
     WHERE event = 'started' AND operation_id = (SELECT id FROM operations WHERE kind = ? ORDER BY started_at DESC)
     ORDER BY id`,
    kind,
  ).map(({ stage }) => stage);
}
