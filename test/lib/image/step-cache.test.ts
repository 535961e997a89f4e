import { existsSync, readdirSync } from 'node:fs';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { stepPlace } from '../../../src/lib/cached-steps.ts';
import type { CachedStep } from '../../../src/lib/image/kept-steps.ts';
import { StepCache } from '../../../src/lib/image/step-cache.ts';
import { cachedStepById, everyCachedStep } from '../../../src/lib/store/cached-steps.ts';
import * as durable from '../../../src/lib/system/durable.ts';
import type { Workspace } from '../../../src/lib/workspace.ts';
import { type State, test } from '../state.ts';

const MIB = 2 ** 20;

function cacheOf(workspace: Workspace, limitBytes = 100 * MIB): StepCache {
  const { store, layout, run, signal } = workspace;
  return new StepCache({ store, layout, run, limitBytes, copies: 'every', signal, tell: () => {} });
}

let count = 0;

/** Has a state of so many bytes kept. */
async function keep(
  workspace: Workspace,
  key: string,
  { cache = cacheOf(workspace), bytes = MIB, parent = null as CachedStep | null } = {},
): Promise<CachedStep | null> {
  count += 1;
  const directory = join(workspace.layout.imagesDir, `stage-${count}`);
  await mkdir(directory);
  await writeFile(join(directory, 'rootfs.ext4'), Buffer.alloc(bytes, 1));
  const draft = {
    kind: 'step',
    key,
    stateKey: key,
    beforeKey: null,
    parent,
    title: key,
    inputs: [],
  } as const;
  const kept = await cache.keep({ ...draft, facts: { of: key }, directory, base: null });
  expect(existsSync(directory)).toBe(false);
  return kept;
}

function entries({ layout }: State): string[] {
  return existsSync(layout.stepsDir) ? readdirSync(layout.stepsDir) : [];
}

describe('a state that is kept', () => {
  test('is found by its key, with what was found out', async ({ state }) => {
    const workspace = await state.open();
    const kept = await keep(workspace, 'a');
    const found = cacheOf(workspace).peek('a');
    expect(found).toEqual(kept);
    expect(found?.facts).toEqual({ of: 'a' });
    expect(existsSync(found?.rootfs ?? '')).toBe(true);
    expect(cacheOf(workspace).peek('b')).toBeNull();
  });

  test('is on the disk before it counts', async ({ state }) => {
    const workspace = await state.open();
    const order: string[] = [];
    const { syncTree } = durable;
    vi.spyOn(durable, 'syncTree').mockImplementation(async (...args) => {
      order.push(`sync with ${everyCachedStep(workspace.store).length} rows`);
      return syncTree(...args);
    });
    try {
      await keep(workspace, 'a');
    } finally {
      vi.restoreAllMocks();
    }
    expect(order).toEqual(['sync with 0 rows']);
  });

  test('is not used once somebody has written to it, or its files are gone', async ({ state }) => {
    const workspace = await state.open();
    const kept = await keep(workspace, 'a');
    await utimes(kept?.rootfs ?? '', 1, 1);
    expect(cacheOf(workspace).peek('a')).toBeNull();
  });
});

describe('the limit', () => {
  test('is kept to, and what was used longest ago goes for it', async ({ state }) => {
    const workspace = await state.open();
    await keep(workspace, 'a');
    await keep(workspace, 'b');
    workspace.close();
    const other = await state.open();
    const cache = cacheOf(other, 2.5 * MIB);
    expect(cache.claim(cache.peek('a') ?? never())).toBe(true);
    await keep(other, 'c', { cache });
    expect(['a', 'b', 'c'].map((key) => cache.peek(key) !== null)).toEqual([true, false, true]);
    expect(entries(state).length).toBe(2);
  });

  test('keeps out what does not fit, and takes nothing for it that is in use', async ({ state }) => {
    const workspace = await state.open();
    const cache = cacheOf(workspace, 1.5 * MIB);
    const kept = await keep(workspace, 'a', { cache });
    expect(await keep(workspace, 'b', { cache })).toBeNull();
    expect(cachedStepById(workspace.store, kept?.id ?? '')?.state).toBe('kept');
    expect(entries(state).length).toBe(1);
  });

  test('does not count what the next state stands on as in use for ever', async ({ state }) => {
    const workspace = await state.open();
    const cache = cacheOf(workspace, 10 * MIB);
    const parent = await keep(workspace, 'a', { cache });
    await keep(workspace, 'b', { cache, parent });
    const uses = state.sql('SELECT step_id FROM step_uses').length;
    expect(uses).toBe(1);
  });
});

describe('what a run leaves', () => {
  /** A row as of a run that died, or lives. */
  async function unsettled(state: State, runId: string, row: 'coming' | 'going'): Promise<string> {
    const workspace = await state.open();
    const { id } = (await keep(workspace, 'a')) ?? never();
    workspace.close();
    state.sql('UPDATE cached_steps SET state = ?, run_id = ? WHERE id = ?', row, runId, id);
    return id;
  }

  test.for(['coming', 'going'] as const)(
    '%s is removed by the next command that changes something',
    async (row, { state }) => {
      const id = await unsettled(state, 'f'.repeat(32), row);
      const next = await state.open();
      await next.locked(() => {});
      expect(cachedStepById(next.store, id)).toBeUndefined();
      expect(existsSync(stepPlace(state.layout, id))).toBe(false);
    },
  );

  test('is left alone while it lives', async ({ state }) => {
    const living = await state.open();
    const id = await unsettled(state, living.run.row.id, 'coming');
    const next = await state.open();
    await next.locked(() => {});
    expect(cachedStepById(next.store, id)?.state).toBe('coming');
    expect(existsSync(stepPlace(state.layout, id))).toBe(true);
    state.sql('DELETE FROM cached_steps');
  });
});

function never(): never {
  throw new Error('nothing was kept');
}
