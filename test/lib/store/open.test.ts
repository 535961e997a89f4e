import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect } from 'vitest';
import { insertImage, listImages } from '../../../src/lib/store/images.ts';
import { migrations } from '../../../src/lib/store/migrations/index.ts';
import { openForReading, openForWriting } from '../../../src/lib/store/open.ts';
import { SCHEMA_VERSION } from '../../../src/lib/store/version.ts';
import { imageRow } from '../plans.ts';
import { type State, test } from '../state.ts';

const nobody = (): boolean => false;

/** A registry with a few hundred images, closed. */
async function makeRegistry({ layout, directory }: State, images = 1): Promise<void> {
  await mkdir(directory, { recursive: true });
  const store = await openForWriting(layout, nobody);
  store.write(() => {
    for (let n = 0; n < images; n += 1) insertImage(store, imageRow());
  });
  store.close();
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Both ways of opening must refuse. */
async function refusals(state: State): Promise<unknown[]> {
  const reading = (): unknown => openForReading(state.layout);
  const refused: unknown[] = [];
  for (const open of [reading, () => openForWriting(state.layout, nobody)]) {
    try {
      await open();
      refused.push('it was opened');
    } catch (error) {
      refused.push(error);
    }
  }
  return refused;
}

describe('reading', () => {
  test('what is not there is nothing, and makes nothing', ({ state }) => {
    expect(openForReading(state.layout)).toBeNull();
    expect(existsSync(state.directory)).toBe(false);
  });

  test('an empty file is no registry yet', async ({ state }) => {
    await mkdir(state.directory, { recursive: true });
    await writeFile(state.layout.database, '');
    expect(openForReading(state.layout)).toBeNull();
    expect(readdirSync(state.directory)).toEqual(['banger.db']);
  });

  test('adds nothing of its own', async ({ state }) => {
    await makeRegistry(state);
    const before = readdirSync(state.directory);
    const store = openForReading(state.layout);
    expect(store && listImages(store)).toHaveLength(1);
    store?.close();
    // A reader may not remove what SQLite needs to read at all.
    const sqlites = ['banger.db-shm', 'banger.db-wal'];
    expect(readdirSync(state.directory).filter((name) => !sqlites.includes(name))).toEqual(before);
  });

  test('cannot write', async ({ state }) => {
    await makeRegistry(state);
    const store = openForReading(state.layout);
    expect(() => store?.write(() => insertImage(store, imageRow()))).toThrow(/readonly/u);
    store?.close();
  });

  test('sees what is committed, and within a snapshot one state of it', async ({ state }) => {
    await makeRegistry(state);
    const writer = await openForWriting(state.layout, nobody);
    const store = openForReading(state.layout);
    const counts = store?.snapshot(() => {
      const before = listImages(store).length;
      writer.write(() => insertImage(writer, imageRow()));
      return [before, listImages(store).length];
    });
    expect(counts).toEqual([1, 1]);
    expect(store && listImages(store)).toHaveLength(2);
    store?.close();
    writer.close();
  });

  test('a registry that cannot be reached is not taken for none', async ({ state }) => {
    await mkdir(state.directory, { recursive: true });
    await symlink('banger.db', state.layout.database);
    expect(() => openForReading(state.layout)).toThrow(expect.objectContaining({ code: 'preflight_failed' }));
  });

  /** What a process says that sees the state directory on a read-only filesystem. */
  async function readOnly(state: State): Promise<string> {
    const mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"';
    const prefix = ['unshare', '--map-root-user', '--mount', 'sh', '-c', mount, state.directory];
    return state.start('list-images', [], { prefix }).said(/^(?:error|no registry|\d+ images)/u);
  }

  test('works on a read-only filesystem', async ({ state }) => {
    await makeRegistry(state, 300);
    expect(readdirSync(state.directory)).not.toContain('banger.db-wal');
    expect(await readOnly(state)).toBe('300 images');
    expect(readdirSync(state.directory)).not.toContain('banger.db-wal');
  });

  test('works there too while others write to it, and sees what is not in the file yet', async ({
    state,
  }) => {
    await makeRegistry(state);
    const writer = await openForWriting(state.layout, nobody);
    writer.write(() => insertImage(writer, imageRow()));
    expect(await readOnly(state)).toBe('2 images');
    writer.close();
  });

  test('never takes an older state for the newest: what is beside the file and cannot be had is told', async ({
    state,
  }) => {
    await makeRegistry(state);
    const writer = await openForWriting(state.layout, nobody);
    writer.write(() => insertImage(writer, imageRow()));
    const wal = readFileSync(`${state.layout.database}-wal`);
    writer.close();
    await writeFile(`${state.layout.database}-wal`, wal);
    expect(await readOnly(state)).toMatch(/^error preflight_failed .*banger\.db/u);
  });
});

describe('writing', () => {
  test('is durable, checks foreign keys and lets readers read', async ({ state }) => {
    await makeRegistry(state);
    const store = await openForWriting(state.layout, nobody);
    const pragmas = ['journal_mode', 'synchronous', 'foreign_keys'].map((name) => store.pragma(name));
    expect(pragmas).toEqual(['wal', 2, 1]);
    store.close();
  });

  test('makes a restored copy, which is not in WAL mode, a WAL database again', async ({ state }) => {
    await makeRegistry(state);
    const copy = join(state.directory, 'copy.db');
    const database = new Sqlite(state.layout.database);
    database.prepare('VACUUM INTO ?').run(copy);
    database.close();
    await rename(copy, state.layout.database);
    const store = await openForWriting(state.layout, nobody);
    expect(store.pragma('journal_mode')).toBe('wal');
    store.close();
  });

  test('the newest schema is the last migration', () => {
    expect(Object.keys(migrations)).toHaveLength(SCHEMA_VERSION);
  });

  test('many first openings at once make one registry', async ({ state }) => {
    const rounds = 25;
    const workers = Array.from({ length: 4 }, () => state.start('open-first', [String(rounds)]));
    await Promise.all(workers.map((worker) => worker.said(/^ready/u)));
    for (const worker of workers) worker.tell('go');
    const ends = await Promise.all(workers.map((worker) => worker.ended));
    for (const { output } of ends) expect(output).toMatch(/^done/mu);
    for (let round = 0; round < rounds; round += 1) {
      const database = new Sqlite(join(state.directory, String(round), 'banger.db'));
      expect(database.pragma('user_version', { simple: true })).toBe(SCHEMA_VERSION);
      expect(database.prepare('SELECT count(*) AS n FROM lock').get()).toEqual({ n: 1 });
      database.close();
    }
  });
});

describe('refused, and left as it is', () => {
  test('the database of another program', async ({ state }) => {
    await mkdir(state.directory, { recursive: true });
    const other = new Sqlite(state.layout.database);
    other.exec('CREATE TABLE bookmarks (url TEXT)');
    other.close();
    const before = digest(state.layout.database);
    for (const error of await refusals(state)) {
      expect(error).toMatchObject({ exitCode: 6, message: expect.stringContaining('another program') });
    }
    expect(digest(state.layout.database)).toBe(before);
    expect(readdirSync(state.directory)).toEqual(['banger.db']);
  });

  test('one that a newer banger wrote', async ({ state }) => {
    await makeRegistry(state);
    state.sql(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    const before = digest(state.layout.database);
    for (const error of await refusals(state)) {
      expect(error).toMatchObject({ exitCode: 6, message: expect.stringContaining('newer banger') });
    }
    expect(digest(state.layout.database)).toBe(before);
  });

  test('a file that is no database', async ({ state }) => {
    await mkdir(state.directory, { recursive: true });
    await writeFile(state.layout.database, 'x'.repeat(10_000));
    for (const error of await refusals(state)) expect(error).toMatchObject({ code: 'corrupt', exitCode: 11 });
    expect(readFileSync(state.layout.database, 'utf8')).toBe('x'.repeat(10_000));
  });

  test.for([
    ['a FIFO', 'mkfifo "$0"'],
    ['a directory', 'mkdir "$0"'],
    ['a device', 'ln -s /dev/zero "$0"'],
  ])('one that is %s, without waiting', { timeout: 10_000 }, async ([, make = ''], { state }) => {
    await mkdir(state.directory, { recursive: true });
    execFileSync('sh', ['-c', make, state.layout.database]);
    for (const error of await refusals(state)) {
      expect(error).toMatchObject({ exitCode: 6, message: expect.stringContaining('not a regular file') });
    }
    expect(readdirSync(state.directory)).toEqual(['banger.db']);
  });

  test('one that was cut short is damaged, wherever that shows', async ({ state }) => {
    await makeRegistry(state, 300);
    await truncate(state.layout.database, 40_960);
    const read = (): unknown => {
      const store = openForReading(state.layout);
      try {
        return store && listImages(store);
      } finally {
        store?.close();
      }
    };
    expect(read).toThrow(expect.objectContaining({ code: 'corrupt', exitCode: 11 }));
  });
});
