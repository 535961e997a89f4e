import { readFileSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { layoutOf } from '../../../src/lib/layout.ts';
import { migrate } from '../../../src/lib/store/migrate.ts';
import { say, until, work } from './protocol.ts';

const [, , stateDir = '', migrations = ''] = process.argv;

await work(async () => {
  const { database } = layoutOf(stateDir);
  const sqlite = new Sqlite(database);
  say('ready');
  await until('go');
  migrate(sqlite, database, JSON.parse(readFileSync(migrations, 'utf8')), () => false);
  sqlite.close();
});
