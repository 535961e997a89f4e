import { statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect } from 'vitest';
import { imageById, insertImage, listImages } from '../../../src/lib/store/images.ts';
import { readLock } from '../../../src/lib/store/lock-row.ts';
import { openForReading, openForWriting } from '../../../src/lib/store/open.ts';
import { Reserve } from '../../../src/lib/store/reserve.ts';
import { Store } from '../../../src/lib/store/store.ts';
import { imageRow } from '../plans.ts';
import { type State, test } from '../state.ts';
import { attachStrace } from '../strace.ts';

async function open({ layout, directory }: State): Promise<Store> {
  await mkdir(directory, { recursive: true });
  return openForWriting(layout, () => false);
}

describe('a write transaction', () => {
  test('happens as a whole or not at all, and what is thrown in it comes out as it is', async ({ state }) => {
    const store = await open(state);
    const thrown = new Error('stop');
    const image = imageRow();
    const failing = (): unknown =>
      store.write(() => {
        insertImage(store, image);
        throw thrown;
      });
    expect(failing).toThrow(thrown);
    expect(imageById(store, image.id)).toBeUndefined();
    store.write(() => insertImage(store, image));
    expect(imageById(store, image.id)).toEqual(image);
    store.close();
  });

  test('reads first and then writes, from four processes at once, without a lost update or BUSY', async ({
    state,
  }) => {
    (await open(state)).close();
    const times = 100;
    const workers = Array.from({ length: 4 }, () => state.start('count-epochs', [String(times)]));
    for (const worker of workers) await worker.said(/^ready/u);
    for (const worker of workers) worker.tell('go');
    for (const worker of workers) expect((await worker.ended).output).toMatch(/^done$/mu);
    const store = await open(state);
    expect(readLock(store).epoch).toBe(4 * times);
    store.close();
  });

  test('of another connection makes tryWrite say busy at once, and write wait for it', async ({ state }) => {
    const store = await open(state);
    const writer = state.start('write-slowly', ['400']);
    await writer.said(/^inside/u);
    const started = performance.now();
    expect(store.tryWrite(() => 'written')).toBe('busy');
    expect(performance.now() - started).toBeLessThan(200);
    expect(store.write(() => 'written')).toBe('written');
    expect(performance.now() - started).toBeGreaterThan(200);
    expect(store.tryWrite(() => 'written')).toBe('written');
    store.close();
  });

  test('that waits too long is exit 7', async ({ state }) => {
    (await open(state)).close();
    const impatient = new Sqlite(state.layout.database, { timeout: 0 });
    const store = new Store(state.layout.database, impatient, new Reserve(state.layout.reserve));
    const other = new Sqlite(state.layout.database);
    other.exec('BEGIN IMMEDIATE');
    expect(() => store.write(() => 1)).toThrow(expect.objectContaining({ code: 'busy', exitCode: 7 }));
    other.close();
    expect(store.write(() => 1)).toBe(1);
    store.close();
  });

  test('whose COMMIT is busy is over: the next one begins', async ({ state }) => {
    // Only a rollback journal makes a commit wait for readers.
    await mkdir(state.directory, { recursive: true });
    const path = join(state.directory, 'rollback.db');
    const sqlite = new Sqlite(path, { timeout: 0 });
    sqlite.exec('CREATE TABLE t (n)');
    const reader = new Sqlite(path);
    reader.exec('BEGIN; SELECT count(*) FROM t');
    const statement = reader.prepare('SELECT * FROM sqlite_schema').iterate();
    statement.next();
    const store = new Store(path, sqlite, new Reserve(state.layout.reserve));
    const insert = (): number => sqlite.prepare('INSERT INTO t VALUES (1)').run().changes;
    expect(() => store.write(insert)).toThrow(expect.objectContaining({ exitCode: 7 }));
    expect(sqlite.inTransaction).toBe(false);
    statement.return?.();
    reader.close();
    expect(store.write(insert)).toBe(1);
    store.close();
  });
});

describe('a COMMIT that fails', () => {
  test('has an unknown outcome, and with nobody else there it came about', async ({ state }) => {
    (await open(state)).close();
    const image = imageRow();
    const worker = state.start('insert-image', [JSON.stringify(image)]);
    await worker.said(/^ready/u);
    await attachStrace(worker, 'inject=fsync,fdatasync:error=EIO');
    worker.tell('go');
    expect(await worker.said(/^error/u)).toMatch(
      /^error tool_failed .*outcome is not known: disk I\/O error/u,
    );
    worker.tell('die');
    await worker.ended;
    // Its frames are in the log: whoever opens the database next replays them.
    const store = await open(state);
    expect(imageById(store, image.id)).toEqual(image);
    store.close();
  });

  test('has an unknown outcome, and when another writes before it is replayed it did not', async ({
    state,
  }) => {
    const store = await open(state);
    const image = imageRow();
    const worker = state.start('insert-image', [JSON.stringify(image)]);
    await worker.said(/^ready/u);
    await attachStrace(worker, 'inject=fsync,fdatasync:error=EIO');
    worker.tell('go');
    expect(await worker.said(/^error/u)).toMatch(/outcome is not known/u);
    worker.tell('die');
    await worker.ended;
    const other = imageRow();
    store.write(() => insertImage(store, other));
    store.close();
    const after = await open(state);
    expect(listImages(after).map((row) => row.id)).toEqual([other.id]);
    after.close();
  });

  test('for a used-up quota is repeated without the reserve', async ({ state }) => {
    (await open(state)).close();
    const madeAt = (): bigint => statSync(state.layout.reserve, { bigint: true }).mtimeNs;
    const firstMadeAt = madeAt();
    const image = imageRow();
    const worker = state.start('insert-image', [JSON.stringify(image)]);
    await worker.said(/^ready/u);
    await attachStrace(worker, 'inject=pwrite64:error=EDQUOT:when=1', ['-P', `${state.layout.database}-wal`]);
    worker.tell('go');
    await worker.said(/^inserted/u);
    worker.tell('die');
    await worker.ended;
    // Given up, and taken back.
    expect(madeAt()).toBeGreaterThan(firstMadeAt);
    const store = openForReading(state.layout);
    expect(store && imageById(store, image.id)).toEqual(image);
    store?.close();
  });
});
