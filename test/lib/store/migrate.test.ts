import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect } from 'vitest';
import { bootsOf } from '../../../src/lib/store/boots.ts';
import { listCachedSteps } from '../../../src/lib/store/cached-steps.ts';
import { imageByName, listImages } from '../../../src/lib/store/images.ts';
import { isRunAlive } from '../../../src/lib/store/liveness.ts';
import { migrate } from '../../../src/lib/store/migrate.ts';
import { initial } from '../../../src/lib/store/migrations/0001-initial.ts';
import { migrations } from '../../../src/lib/store/migrations/index.ts';
import { openForReading, openForWriting } from '../../../src/lib/store/open.ts';
import { operationById } from '../../../src/lib/store/operations.ts';
import { SCHEMA_VERSION } from '../../../src/lib/store/version.ts';
import { type State, test } from '../state.ts';

/** Two changes as later versions may bring them: a column, and a table that is rebuilt. */
const LATER = {
  '0001_initial': initial,
  '0002_note': 'ALTER TABLE images ADD COLUMN note TEXT',
  '0003_rebuilt': `
    CREATE TABLE images_new AS SELECT * FROM images;
    DROP TABLE images;
    CREATE TABLE images (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL UNIQUE, note TEXT) STRICT;
    INSERT INTO images SELECT id, name, 'rebuilt' FROM images_new;
    DROP TABLE images_new;`,
};

/** What the version after this one may bring. */
const NEXT = { ...migrations, '9999_later': 'ALTER TABLE images ADD COLUMN note TEXT' };

const ROWS = `
INSERT INTO images (id, name, managed, rootfs_path, kernel_path, created_at, updated_at)
  VALUES ('i', 'kept', 0, '/r', '/k', 'then', 'then');
INSERT INTO vms VALUES ('v', 'vm', 'i', 'then');
INSERT INTO operations (id, kind, state, run_id, pid, host, command, image_id, image_name, started_at, finished_at)
  VALUES ('o', 'register', 'succeeded', 'r', 1, 'h', 'c', 'i', 'kept', 'then', 'then');
INSERT INTO operation_events (operation_id, at, stage, event) VALUES ('o', 'then', 's', 'started');
INSERT INTO reservations VALUES ('o', 'name', 'kept', 'exclusive');
`;

/** A registry of the first schema, with one image and a VM of it, closed. */
async function makeFirst({ layout, directory }: State): Promise<void> {
  await mkdir(directory, { recursive: true });
  const database = new Sqlite(layout.database);
  database.pragma('journal_mode = WAL');
  migrate(database, layout.database, { '0001_initial': initial }, () => false);
  database.exec(ROWS);
  database.close();
}

function migrated(state: State, migrations: Readonly<Record<string, string>>, isAlive = () => false): void {
  const sqlite = new Sqlite(state.layout.database);
  try {
    migrate(sqlite, state.layout.database, migrations, isAlive);
  } finally {
    sqlite.close();
  }
}

function read(path: string, query: string): unknown {
  const database = new Sqlite(path, { readonly: true });
  try {
    return database.prepare(query).pluck().get();
  } finally {
    database.close();
  }
}

describe('a migration', () => {
  test('brings a registry up to date, with what refers to a rebuilt table', async ({ state }) => {
    await makeFirst(state);
    migrated(state, LATER);
    const { database } = state.layout;
    expect(read(database, 'PRAGMA user_version')).toBe(3);
    expect(read(database, "SELECT note FROM images WHERE name = 'kept'")).toBe('rebuilt');
    expect(read(database, 'SELECT count(*) FROM vms')).toBe(1);
    expect(read(database, 'PRAGMA integrity_check')).toBe('ok');
  });

  test('copies the old registry aside, whole', async ({ state }) => {
    await makeFirst(state);
    migrated(state, LATER);
    const copy = `${state.layout.database}.v1`;
    expect(read(copy, 'PRAGMA user_version')).toBe(1);
    expect(read(copy, 'SELECT name FROM images')).toBe('kept');
    expect(read(copy, 'PRAGMA integrity_check')).toBe('ok');
    expect(existsSync(`${copy}.partial`)).toBe(false);
  });

  test('is not content with a copy that an earlier try left: half made, or of another time', async ({
    state,
  }) => {
    await makeFirst(state);
    const copy = `${state.layout.database}.v1`;
    await writeFile(copy, 'half a copy');
    await writeFile(`${copy}.partial`, 'half a copy');
    migrated(state, LATER);
    expect(read(copy, 'SELECT name FROM images')).toBe('kept');
  });

  test('that fails changes nothing', async ({ state }) => {
    await makeFirst(state);
    const broken = { ...LATER, '0004_broken': 'CREATE TABLE x (a); CREATE TABLE x (a)' };
    expect(() => migrated(state, broken)).toThrow(/already exists/u);
    expect(read(state.layout.database, 'PRAGMA user_version')).toBe(1);
    expect(read(state.layout.database, "SELECT count(*) FROM sqlite_schema WHERE name = 'x'")).toBe(0);
  });

  test('that would orphan a VM changes nothing', async ({ state }) => {
    await makeFirst(state);
    const orphaning = { '0001_initial': initial, '0002_bad': 'DELETE FROM images' };
    expect(() => migrated(state, orphaning)).toThrow(/left a row of vms without/u);
    expect(read(state.layout.database, 'SELECT count(*) FROM images')).toBe(1);
  });

  test('is never a step back', async ({ state }) => {
    await makeFirst(state);
    migrated(state, LATER);
    // One that opened it at the first version, and got the write lock after a newer banger had been here.
    migrated(state, { '0001_initial': initial, '0002_note': LATER['0002_note'] });
    expect(read(state.layout.database, 'PRAGMA user_version')).toBe(3);
  });
});

describe('a run that is alive', () => {
  test('is not robbed of its schema: exit 7 naming it, and nothing changed', async ({ state }) => {
    const holder = state.start('hold-lock', ['10000', 'banger image build slow']);
    await holder.said(/^held/u);
    const attempt = (): void =>
      migrated(state, NEXT, (id?: string) => isRunAlive(state.layout.liveDir, id ?? ''));
    expect(attempt).toThrow(
      expect.objectContaining({
        code: 'busy',
        exitCode: 7,
        message: expect.stringContaining("'banger image build slow'"),
      }),
    );
    expect(existsSync(`${state.layout.database}.v${SCHEMA_VERSION}`)).toBe(false);
    expect(read(state.layout.database, 'PRAGMA user_version')).toBe(SCHEMA_VERSION);
    holder.kill('SIGKILL');
    await holder.ended;
    attempt();
    expect(read(state.layout.database, 'PRAGMA user_version')).toBe(SCHEMA_VERSION + 1);
  });
});

test('several programs that bring it up to date at once do so once', async ({ state }) => {
  await makeFirst(state);
  const path = join(state.directory, 'later.json');
  await writeFile(path, JSON.stringify(LATER));
  const workers = Array.from({ length: 4 }, () => state.start('migrate', [path]));
  for (const worker of workers) await worker.said(/^ready/u);
  for (const worker of workers) worker.tell('go');
  for (const worker of workers) expect((await worker.ended).output).toMatch(/^done$/mu);
  expect(read(state.layout.database, 'PRAGMA user_version')).toBe(3);
  expect(read(`${state.layout.database}.v1`, 'SELECT name FROM images')).toBe('kept');
});

/** A registry of an earlier schema, with one image and a VM of it, closed. */
async function makeEarlier(state: State, version: number): Promise<void> {
  await makeFirst(state);
  migrated(state, Object.fromEntries(Object.entries(migrations).slice(0, version)));
}

test('a registry of the schema before is read as it is', async ({ state }) => {
  await makeEarlier(state, SCHEMA_VERSION - 1);
  const reader = openForReading(state.layout);
  expect(reader && listImages(reader)).toMatchObject([{ name: 'kept', generation: 1, labels: '{}' }]);
  expect(reader && listCachedSteps(reader)).toEqual([]);
  expect(reader && bootsOf(reader, 'i', 10)).toEqual([]);
  expect(reader && operationById(reader, 'o')).toMatchObject({ vm_id: null, vm_name: null });
  reader?.close();
  expect(read(state.layout.database, 'PRAGMA user_version')).toBe(SCHEMA_VERSION - 1);
});

test.for(Object.keys(migrations).map((_, index) => index + 1))(
  'a registry of schema %i is brought up to date by the first command that changes something',
  async (version, { state }) => {
    await makeEarlier(state, version);
    const store = await openForWriting(state.layout, () => false);
    expect(imageByName(store, 'kept')).toMatchObject({ id: 'i', generation: 1, labels: '{}' });
    store.close();
    const { database } = state.layout;
    expect(read(database, 'PRAGMA user_version')).toBe(Object.keys(migrations).length);
    expect(read(database, "SELECT stage FROM operation_events WHERE operation_id = 'o'")).toBe('s');
    expect(read(database, "SELECT key FROM reservations WHERE operation_id = 'o'")).toBe('kept');
    expect(read(database, "SELECT image_name FROM operations WHERE kind = 'register'")).toBe('kept');
    const orphan = "INSERT INTO reservations VALUES ('gone', 'name', 'n', 'exclusive')";
    expect(() => state.sql(orphan)).toThrow(/FOREIGN KEY/u);
    state.sql("DELETE FROM operations WHERE id = 'o'");
    expect(read(database, 'SELECT count(*) FROM operation_events')).toBe(0);
  },
);
