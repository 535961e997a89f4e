import { existsSync, readdirSync, statSync } from 'node:fs';
import { chown, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect } from 'vitest';
import { CancelledError } from '../../src/lib/errors.ts';
import { runAtOnce } from '../../src/lib/operation.ts';
import { insertImage } from '../../src/lib/store/images.ts';
import { openForMark, openReadings } from '../../src/lib/workspace.ts';
import { buildPlan, imageRow } from './plans.ts';
import { test } from './state.ts';

describe('opening', () => {
  test('for reading makes nothing', async ({ state }) => {
    const { store, layout } = await openReadings({ stateDir: state.directory });
    expect([store, layout]).toEqual([null, state.layout]);
    expect(await openForMark({ stateDir: state.directory })).toMatchObject({ store: null });
    expect(existsSync(state.directory)).toBe(false);
  });

  test('for changes makes everything, for nobody else to see', async ({ state }) => {
    const workspace = await state.open();
    const { stateDir, imagesDir, liveDir, logDir, vmsDir } = state.layout;
    for (const directory of [stateDir, imagesDir, liveDir, logDir, vmsDir]) {
      expect(statSync(directory).mode & 0o7777).toBe(0o700);
    }
    workspace.close();
    state.assertSettled();
  });

  test('a file, or something below one, is refused: exit 6', async ({ state }) => {
    await mkdir(dirname(state.directory), { recursive: true });
    await writeFile(state.directory, '');
    const refusal = { code: 'preflight_failed', message: expect.stringContaining(state.directory) };
    await expect(openReadings({ stateDir: state.directory })).rejects.toMatchObject(refusal);
    await expect(state.open()).rejects.toMatchObject(refusal);
    const below = join(state.directory, 'below');
    await expect(openReadings({ stateDir: below })).rejects.toMatchObject({ exitCode: 6 });
  });

  test('a link that leads nowhere is refused by whoever would have to follow it: exit 6', async ({
    state,
  }) => {
    await symlink('nowhere', state.directory);
    await expect(state.open()).rejects.toMatchObject({ exitCode: 6 });
  });

  test.runIf(process.getuid?.() === 0)("another user's state is refused: exit 6", async ({ state }) => {
    await mkdir(state.directory);
    await chown(state.directory, 12345, 12345);
    const refusal = { exitCode: 6, message: expect.stringContaining('belongs to another user (uid 12345') };
    await expect(openReadings({ stateDir: state.directory })).rejects.toMatchObject(refusal);
    await expect(state.open()).rejects.toMatchObject(refusal);
    expect(readdirSync(state.directory)).toEqual([]);
  });
});

describe('under the lock', () => {
  test('what fails comes out as it is, and the lock is free again', async ({ state }) => {
    const workspace = await state.open({ timeoutMs: 0 });
    const thrown = new Error('no luck');
    await expect(workspace.locked(() => Promise.reject(thrown))).rejects.toBe(thrown);
    expect(await workspace.locked(() => 'next')).toBe('next');
    workspace.close();
    state.assertSettled();
  });

  test('one that was cancelled does not begin', async ({ state }) => {
    const stop = new AbortController();
    const workspace = await state.open({ signal: stop.signal });
    const reason = new CancelledError('SIGTERM');
    stop.abort(reason);
    await expect(workspace.locked(() => expect.unreachable())).rejects.toBe(reason);
    workspace.close();
    state.assertSettled();
  });

  test('a transaction is done and recorded, or neither', async ({ state }) => {
    const workspace = await state.open();
    const { store, layout } = workspace;
    const row = imageRow({ name: 'one' });
    const decide = (apply: () => void) => () => ({
      plan: { ...buildPlan(layout, 'one').plan, kind: 'register' as const },
      apply,
    });
    const failing = (): void => {
      insertImage(store, row);
      throw new Error('no luck');
    };
    await expect(runAtOnce(workspace, decide(failing))).rejects.toThrow('no luck');
    expect(state.sql('SELECT * FROM images')).toEqual([]);
    expect(state.sql('SELECT * FROM operations')).toEqual([]);
    await runAtOnce(
      workspace,
      decide(() => insertImage(store, row)),
    );
    expect(state.sql('SELECT state FROM operations')).toEqual([{ state: 'succeeded' }]);
    workspace.close();
    state.assertSettled();
  });
});
