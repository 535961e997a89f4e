import { mkdir } from 'node:fs/promises';
import Sqlite from 'better-sqlite3';
import { describe, expect } from 'vitest';
import { deleteImage, insertImage } from '../../../src/lib/store/images.ts';
import { openForWriting } from '../../../src/lib/store/open.ts';
import { imageRow } from '../plans.ts';
import { type State, test } from '../state.ts';

const NOW = '2026-01-01T00:00:00.000Z';
const OPERATION =
  'INSERT INTO operations (id, kind, state, run_id, pid, host, command, image_id, image_name, started_at, finished_at)';

async function make({ layout, directory }: State): Promise<Sqlite.Database> {
  await mkdir(directory, { recursive: true });
  (await openForWriting(layout, () => false)).close();
  const database = new Sqlite(layout.database);
  database.exec(`${OPERATION} VALUES ('o1', 'build', 'running', 'r', 1, 'h', 'c', 'i', 'n', '${NOW}', NULL),
                                    ('o2', 'build', 'running', 'r', 1, 'h', 'c', 'i', 'n', '${NOW}', NULL)`);
  return database;
}

function image(columns: string): string {
  const all = {
    id: "'a'",
    name: "'a'",
    managed: '0',
    rootfs_path: "'/r'",
    kernel_path: "'/k'",
    created_at: `'${NOW}'`,
    updated_at: `'${NOW}'`,
    ...Object.fromEntries(columns.split(', ').map((column) => column.split(' = '))),
  };
  return `INSERT INTO images (${Object.keys(all)}) VALUES (${Object.values(all)})`;
}

describe('the schema refuses', () => {
  test.for([
    ['a number for a text', image("name = x'00'"), /cannot store BLOB/u],
    ['a text for a number', image("build_size = 'big'"), /cannot store TEXT/u],
    ['a size of nothing', image('build_size = 0'), /CHECK/u],
    ['a third truth', image('docker = 2'), /CHECK/u],
    ['a managed image without a directory', image('managed = 1'), /CHECK/u],
    ['an unmanaged image with one', image("artifact_dir = '/a'"), /CHECK/u],
    ['a fingerprint without a work seed', image("seeded_ssh_public_key_fingerprint = 'SHA256:x'"), /CHECK/u],
    ['an image without a kernel', image('kernel_path = NULL'), /NOT NULL/u],
    ['a second lock row', 'INSERT INTO lock (id, epoch) VALUES (2, 0)', /CHECK/u],
    [
      'a kind of operation that there is not',
      `${OPERATION} VALUES ('x', 'mend', 'running', 'r', 1, 'h', 'c', 'i', 'n', '${NOW}', NULL)`,
      /CHECK/u,
    ],
    [
      'an operation that has ended and still runs',
      `${OPERATION} VALUES ('x', 'build', 'running', 'r', 1, 'h', 'c', 'i', 'n', '${NOW}', '${NOW}')`,
      /CHECK/u,
    ],
    [
      'an operation that is over without an end',
      `${OPERATION} VALUES ('x', 'build', 'failed', 'r', 1, 'h', 'c', 'i', 'n', '${NOW}', NULL)`,
      /CHECK/u,
    ],
    [
      'a reservation of no operation',
      "INSERT INTO reservations VALUES ('gone', 'name', 'n', 'exclusive')",
      /FOREIGN KEY/u,
    ],
    [
      'a name reserved twice',
      "INSERT INTO reservations VALUES ('o1', 'name', 'n', 'exclusive'), ('o2', 'name', 'n', 'exclusive')",
      /UNIQUE/u,
    ],
    [
      'an image that two want for themselves',
      "INSERT INTO reservations VALUES ('o1', 'image', 'i', 'exclusive'), ('o2', 'image', 'i', 'exclusive')",
      /UNIQUE/u,
    ],
    [
      'a VM of no image',
      `INSERT INTO vms (id, name, image_id, created_at) VALUES ('v', 'v', 'gone', '${NOW}')`,
      /FOREIGN KEY/u,
    ],
  ] as const)('%s', async ([, statement, complaint], { state }) => {
    const database = await make(state);
    expect(() => database.exec(statement)).toThrow(complaint);
    database.close();
  });

  test('to forget an image that a VM was made from', async ({ state }) => {
    (await make(state)).close();
    const store = await openForWriting(state.layout, () => false);
    const row = imageRow();
    store.write(() => insertImage(store, row));
    state.sql(`INSERT INTO vms (id, name, image_id, created_at) VALUES ('v', 'vm', '${row.id}', '${NOW}')`);
    expect(() => store.write(() => deleteImage(store, row.id))).toThrow(/FOREIGN KEY/u);
    state.sql("DELETE FROM vms WHERE id = 'v'");
    store.write(() => deleteImage(store, row.id));
    store.close();
  });
});

test('one image may be the base of many', async ({ state }) => {
  const database = await make(state);
  database.exec(
    "INSERT INTO reservations VALUES ('o1', 'image', 'i', 'shared'), ('o2', 'image', 'i', 'shared')",
  );
  expect(database.prepare('SELECT count(*) AS n FROM reservations').get()).toEqual({ n: 2 });
  database.close();
});
