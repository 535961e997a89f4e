import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, rmdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { CancelledError } from '../../src/lib/errors.ts';
import { acquireLock } from '../../src/lib/lock.ts';
import type { Workspace } from '../../src/lib/workspace.ts';
import { type State, test } from './state.ts';
import { overlapsIn } from './turns.ts';
import type { Worker } from './worker.ts';

const FOREVER = new AbortController().signal;

/** The lock alone, without the recovery that a workspace does under it. */
function take(workspace: Workspace, timeoutMs: number, signal = FOREVER, onWait?: (message: string) => void) {
  return acquireLock(workspace.store, workspace.layout, workspace.run.row.id, {
    timeoutMs,
    signal,
    ...(onWait ? { onWait } : {}),
  });
}

async function holder(state: State, prefix: readonly string[] = []): Promise<Worker> {
  const worker = state.start('hold-lock', ['10000', 'banger image build slow'], { prefix });
  await worker.said(/^held/u);
  return worker;
}

describe('processes exclude each other', () => {
  test('over many short rounds', async ({ state }) => {
    const workers = Array.from({ length: 4 }, () => state.start('take-turns', ['25']));
    for (const worker of workers) await worker.said(/^ready/u);
    for (const worker of workers) worker.tell('go');
    for (const worker of workers) expect((await worker.ended).output).toMatch(/^done$/mu);
    const log = readFileSync(join(state.directory, 'turns'), 'utf8');
    expect(log.match(/^enter/gmu)).toHaveLength(100);
    expect(overlapsIn(log)).toEqual([]);
    await state.settle();
  });

  test('while some are killed and some are stopped for a time', async ({ state }) => {
    const killed = new Set<string>();
    const start = (): Worker => {
      const worker = state.start('take-turns', ['100000']);
      worker.tell('go');
      return worker;
    };
    const workers = Array.from({ length: 4 }, start);
    for (const worker of workers) await worker.said(/^ready/u);
    for (let round = 0; round < 8; round += 1) {
      const index = round % workers.length;
      const victim = workers[index];
      if (victim === undefined) throw new Error('no worker');
      victim.kill('SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, 60));
      if (round % 2 === 0) {
        victim.kill('SIGCONT');
      } else {
        killed.add(String(victim.pid));
        victim.kill('SIGKILL');
        workers[index] = start();
        await workers[index]?.said(/^ready/u);
      }
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    for (const worker of workers) {
      killed.add(String(worker.pid));
      worker.kill('SIGKILL');
      await worker.ended;
    }
    const log = readFileSync(join(state.directory, 'turns'), 'utf8');
    expect(log.match(/^enter/gmu)?.length).toBeGreaterThan(20);
    expect(overlapsIn(log, killed)).toEqual([]);
    await state.settle();
  });
});

describe('a holder', () => {
  test('that died is followed at once', async ({ state }) => {
    const workspace = await state.open();
    const dead = await holder(state);
    dead.kill('SIGKILL');
    await dead.ended;
    const started = performance.now();
    const lock = await take(workspace, 0);
    expect(performance.now() - started).toBeLessThan(1000);
    lock.release();
    workspace.close();
    await state.settle();
  });

  test('that is stopped is never robbed: exit 7 naming it, after a word that one waits', async ({
    state,
  }) => {
    const workspace = await state.open();
    const stopped = await holder(state);
    stopped.kill('SIGSTOP');
    const waiting: { message: string; after: number }[] = [];
    const started = performance.now();
    const onWait = (message: string): void => {
      waiting.push({ message, after: performance.now() - started });
    };
    await expect(take(workspace, 1600, FOREVER, onWait)).rejects.toMatchObject({
      code: 'busy',
      exitCode: 7,
      message: expect.stringMatching(
        new RegExp(`within 1.6 s: 'banger image build slow' has it \\(pid ${stopped.pid} on .*for \\d`, 'u'),
      ),
      hints: expect.arrayContaining([expect.stringContaining('--lock-timeout')]),
    });
    expect(waiting).toHaveLength(1);
    expect(waiting[0]?.message).toContain(`'banger image build slow' has it (pid ${stopped.pid}`);
    expect(waiting[0]?.after).toBeGreaterThan(990);

    stopped.kill('SIGCONT');
    stopped.tell('release');
    await stopped.said(/^released/u);
    (await take(workspace, 0)).release();
    stopped.tell('end');
    await stopped.ended;
    workspace.close();
    await state.settle();
  });

  test('of another time is judged by no clock', async ({ state }) => {
    // The lock's directory is from the future for the one, and long stale for the other.
    const future = await holder(state, ['faketime', '-f', '+20y']);
    const past = state.start('hold-lock', ['300'], { prefix: ['faketime', '-f', '-20y'] });
    expect(await past.said(/^error/u)).toMatch(/^error busy .*for 0\.0s/u);
    const later = state.start('hold-lock', ['10000'], { prefix: ['faketime', '-f', '+40y'] });
    await later.said(/^open/u);
    expect(later.hasSaid(/^held/u)).toBe(false);
    future.kill('SIGKILL');
    process.kill(await future.nodePid(), 'SIGKILL');
    await later.said(/^held/u);
  });
});

describe('the directory that other tools see', () => {
  const meddle: readonly (readonly [how: string, meddle: (path: string) => Promise<unknown>])[] = [
    ['removed', (path) => rmdir(path)],
    ['touched', (path) => utimes(path, 1, 1)],
    ['put into the future', (path) => utimes(path, 4e9, 4e9)],
    ['replaced by a file', (path) => rmdir(path).then(() => writeFile(path, 'x'))],
    ['filled', (path) => writeFile(join(path, 'x'), 'x')],
    ['replaced by a link', (path) => rmdir(path).then(() => symlink('images', path))],
  ];

  test.for(meddle)('may be %s: the lock stays where it is, and is given back', async ([, how], { state }) => {
    const [workspace, other] = [await state.open(), await state.open()];
    const precious = join(workspace.layout.imagesDir, 'precious');
    await writeFile(precious, '');
    const lock = await take(workspace, 0);
    const path = `${workspace.layout.lockTarget}.lock`;
    expect(existsSync(path)).toBe(true);
    await how(path);
    await expect(take(other, 0)).rejects.toMatchObject({ code: 'busy' });
    lock.release();
    expect(existsSync(path)).toBe(false);
    (await take(other, 0)).release();
    workspace.close();
    other.close();
    await rm(precious);
    await state.settle();
  });

  test('may be there before: nobody who is alive made it', async ({ state }) => {
    const workspace = await state.open();
    await mkdir(join(`${workspace.layout.lockTarget}.lock`, 'deep'), { recursive: true });
    (await take(workspace, 0)).release();
    workspace.close();
    await state.settle();
  });
});

describe('the fence', () => {
  test('holds off one whose lock passed to another, who keeps it', async ({ state }) => {
    const workspace = await state.open();
    const lock = await take(workspace, 0);
    lock.assertOurs();
    state.sql("UPDATE lock SET epoch = epoch + 1, run_id = 'successor'");
    expect(() => lock.assertOurs()).toThrow(
      expect.objectContaining({ code: 'busy', message: expect.stringContaining('passed to another run') }),
    );
    lock.release();
    expect(state.sql('SELECT run_id FROM lock')).toEqual([{ run_id: 'successor' }]);
    workspace.close();
    await state.settle();
  });

  test('stands between one that lost its live file and the one that followed it', async ({ state }) => {
    const workspace = await state.open();
    const lock = await take(workspace, 0);
    await rm(join(workspace.layout.liveDir, `${workspace.run.row.id}.lock`));
    const follower = state.start('hold-lock', ['0']);
    await follower.said(/^held/u);
    expect(() => lock.assertOurs()).toThrow(/passed to another run/u);
    lock.release();
    workspace.close();
    const third = state.start('hold-lock', ['0']);
    expect(await third.said(/^error/u)).toMatch(/^error busy/u);
    follower.tell('release');
    follower.tell('end');
    await follower.ended;
    await third.ended;
    await state.settle();
  });
});

describe('waiting', () => {
  test('ends at once when it is cancelled', async ({ state }) => {
    const workspace = await state.open();
    const other = await holder(state);
    const cancel = new AbortController();
    const waiting = take(workspace, 60_000, cancel.signal);
    const reason = new CancelledError('SIGINT');
    setTimeout(() => cancel.abort(reason), 100);
    const started = performance.now();
    await expect(waiting).rejects.toBe(reason);
    expect(performance.now() - started).toBeLessThan(1000);
    await expect(take(workspace, 0, cancel.signal)).rejects.toBe(reason);
    other.tell('release');
    other.tell('end');
    await other.ended;
    workspace.close();
    await state.settle();
  });

  test('for one who writes the registry for long, without the lock, is exit 7, too', async ({ state }) => {
    const workspace = await state.open();
    const writer = state.start('write-slowly', ['1500']);
    await writer.said(/^inside/u);
    await expect(take(workspace, 100)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining(`is writing to the registry (pid ${writer.pid})`),
    });
    await writer.ended;
    workspace.close();
    await state.settle();
  });

  test('for one who has the lock is told of him first, though another writes the registry just then', async ({
    state,
  }) => {
    const workspace = await state.open();
    const other = await holder(state);
    const refused = take(workspace, 4000).catch((error: Error) => error.message);
    const writer = state.start('write-slowly', ['60000']);
    await writer.said(/^inside/u);
    expect(await refused).toMatch(
      new RegExp(`: 'banger image build slow' has it \\(pid ${other.pid} on .*\\(pid ${writer.pid}\\)$`, 'u'),
    );
    writer.kill('SIGKILL');
    await writer.ended;
    other.tell('release');
    other.tell('end');
    await other.ended;
    workspace.close();
    await state.settle();
  });
});

test('releasing twice lets go of nobody else’s lock', async ({ state }) => {
  const workspace = await state.open();
  const lock = await take(workspace, 0);
  lock.release();
  const other = await holder(state);
  lock.release();
  await expect(take(workspace, 0)).rejects.toMatchObject({ code: 'busy' });
  other.tell('release');
  other.tell('end');
  await other.ended;
  workspace.close();
  await state.settle();
});
