import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { newId } from '../../../src/lib/id.ts';
import { beginRun, forgetRuns, isRunAlive, sweepDeadRuns } from '../../../src/lib/store/liveness.ts';
import { openForWriting } from '../../../src/lib/store/open.ts';
import type { Store } from '../../../src/lib/store/store.ts';
import { type State, test } from '../state.ts';
import type { Worker } from '../worker.ts';

async function open({ layout }: State): Promise<Store> {
  await mkdir(layout.liveDir, { recursive: true });
  return openForWriting(layout, () => false);
}

async function runId(worker: Worker): Promise<string> {
  return (await worker.said(/^run /u)).slice(4);
}

/** Until the kernel has closed a killed process's files. */
async function over(worker: Worker): Promise<void> {
  worker.kill('SIGKILL');
  await worker.ended;
}

describe('a run', () => {
  test('of this process is alive until it ends, and leaves nothing', async ({ state }) => {
    const store = await open(state);
    const { liveDir } = state.layout;
    const run = beginRun(store, liveDir, 'banger test');
    expect(isRunAlive(liveDir, run.row.id)).toBe(true);
    // Asking must not let go of it: POSIX locks are gone when any descriptor of the file is closed.
    expect(isRunAlive(liveDir, run.row.id)).toBe(true);
    const asked = state.start('ask-alive', [run.row.id]);
    expect(await asked.said(/^(?:alive|dead)/u)).toBe('alive');
    run.end();
    expect(isRunAlive(liveDir, run.row.id)).toBe(false);
    expect(readdirSync(liveDir)).toEqual([]);
    expect(state.sql('SELECT * FROM runs')).toEqual([]);
    store.close();
  });

  test('whose directory somebody has removed is refused: exit 6', async ({ state }) => {
    const store = await open(state);
    const { liveDir } = state.layout;
    await rm(liveDir, { recursive: true });
    const refused = expect.objectContaining({ exitCode: 6, message: expect.stringContaining(liveDir) });
    expect(() => beginRun(store, liveDir, 'banger test')).toThrow(refused);
    store.close();
  });

  test('is alive while it is stopped, and dead once it is killed', async ({ state }) => {
    const { liveDir } = state.layout;
    const worker = state.start('hold-run', []);
    const id = await runId(worker);
    expect(isRunAlive(liveDir, id)).toBe(true);
    worker.kill('SIGSTOP');
    expect(isRunAlive(liveDir, id)).toBe(true);
    await over(worker);
    expect(isRunAlive(liveDir, id)).toBe(false);
  });

  test('is seen from another PID namespace, and sees out of one', async ({ state }) => {
    const { liveDir } = state.layout;
    const prefix = ['unshare', '--map-root-user', '--pid', '--fork', '--kill-child'];
    const inside = state.start('hold-run', [], { prefix });
    const id = await runId(inside);
    expect(await inside.nodePid()).toBe(1);
    expect(isRunAlive(liveDir, id)).toBe(true);

    const store = await open(state);
    const run = beginRun(store, liveDir, 'banger test');
    const alive = state.start('ask-alive', [run.row.id], { prefix });
    expect(await alive.said(/^(?:alive|dead)/u)).toBe('alive');
    run.end();
    const dead = state.start('ask-alive', [run.row.id], { prefix });
    expect(await dead.said(/^(?:alive|dead)/u)).toBe('dead');
    store.close();

    await over(inside);
    await expect.poll(() => isRunAlive(liveDir, id)).toBe(false);
  });

  test('without its file is dead, with or without the directory', async ({ state }) => {
    const { liveDir } = state.layout;
    const worker = state.start('hold-run', []);
    const id = await runId(worker);
    await rm(join(liveDir, `${id}.lock`));
    expect(isRunAlive(liveDir, id)).toBe(false);
    await rm(liveDir, { recursive: true });
    expect(isRunAlive(liveDir, id)).toBe(false);
  });

  test('is dead whatever its file holds, when nobody locks it', async ({ state }) => {
    const { liveDir } = state.layout;
    await mkdir(liveDir, { recursive: true });
    const header = Buffer.from('SQLite format 3\0\x10\0');
    // Real databases with random damage, and random bytes; bytes 18 and 19 make it claim WAL mode.
    const contents = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.constantFrom(0, 1, 2, 3), fc.uint8Array({ minLength: 80, maxLength: 9000 }))
        .map(([mode, bytes]) => Buffer.concat([header, Buffer.from([mode, mode]), Buffer.from(bytes)])),
    );
    const id = newId();
    const path = join(liveDir, `${id}.lock`);
    await fc.assert(
      fc.asyncProperty(contents, async (bytes) => {
        await writeFile(path, bytes);
        expect(isRunAlive(liveDir, id)).toBe(false);
      }),
      { numRuns: 300 },
    );
    const database = new Sqlite(path.replace(id, 'wal'));
    database.exec('PRAGMA journal_mode = WAL; CREATE TABLE t (n)');
    database.close();
    expect(isRunAlive(liveDir, 'wal')).toBe(false);
  });

  test('cannot begin where its file cannot be made, and leaves no row', async ({ state }) => {
    const store = await open(state);
    expect(() => beginRun(store, join(state.directory, 'gone'), 'banger test')).toThrow();
    expect(state.sql('SELECT * FROM runs')).toEqual([]);
    store.close();
  });
});

describe('a sweep', () => {
  test('finds runs that died by their rows and by their files, and none that lives', async ({ state }) => {
    const { liveDir } = state.layout;
    const store = await open(state);
    const own = beginRun(store, liveDir, 'banger test');
    const stopped = state.start('hold-run', []);
    const stoppedId = await runId(stopped);
    stopped.kill('SIGSTOP');
    const killed = state.start('hold-run', []);
    const killedId = await runId(killed);
    await over(killed);
    const [fileOnly, garbage] = [newId(), newId()];
    await writeFile(join(liveDir, `${fileOnly}.lock`), '');
    await writeFile(join(liveDir, `${garbage}.lock`), 'garbage');
    state.sql("INSERT INTO runs VALUES ('row-only', 1, 'h', 'c', 'now')");

    const dead = store.write(() => sweepDeadRuns(store, liveDir));
    expect(dead.sort()).toEqual([killedId, fileOnly, garbage, 'row-only'].sort());
    expect(readdirSync(liveDir).sort()).toEqual([`${own.row.id}.lock`, `${stoppedId}.lock`].sort());
    // A crash before their rows are gone finds them again.
    expect(store.write(() => sweepDeadRuns(store, liveDir)).sort()).toEqual([killedId, 'row-only'].sort());
    store.write(() => forgetRuns(store, dead));
    expect(store.write(() => sweepDeadRuns(store, liveDir))).toEqual([]);
    expect(existsSync(join(liveDir, `${stoppedId}.lock`))).toBe(true);
    own.end();
    store.close();
  });

  test('leaves alone what a hand put there and no run did', async ({ state }) => {
    const store = await open(state);
    const { liveDir } = state.layout;
    await mkdir(join(liveDir, 'directory.lock'));
    await writeFile(join(liveDir, 'README'), '');
    expect(store.write(() => sweepDeadRuns(store, liveDir))).toEqual([]);
    expect(readdirSync(liveDir).sort()).toEqual(['README', 'directory.lock']);
    store.close();
  });

  test('never meets a run that is beginning', async ({ state }) => {
    const store = await open(state);
    const beginner = state.start('begin-runs', ['150']);
    await beginner.said(/^ready/u);
    beginner.tell('go');
    const swept: string[] = [];
    while (!beginner.hasSaid(/^done/u)) {
      swept.push(...store.write(() => sweepDeadRuns(store, state.layout.liveDir)));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect((await beginner.ended).output).toMatch(/^never robbed$/mu);
    expect(swept).toEqual([]);
    store.close();
  });
});
