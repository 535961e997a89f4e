import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { CancelledError } from '../../src/lib/errors.ts';
import { cancelOperation } from '../../src/lib/journal.ts';
import { assertImageFree, assertNameFree, Operation, type OperationPlan } from '../../src/lib/operation.ts';
import { imageById, insertImage, updateImage } from '../../src/lib/store/images.ts';
import type { Reservation } from '../../src/lib/store/reservations.ts';
import type { ImageRow } from '../../src/lib/store/schema.ts';
import type { Workspace } from '../../src/lib/workspace.ts';
import { buildPlan, imageRow } from './plans.ts';
import { type State, test } from './state.ts';

interface Building {
  operation: Operation;
  plan: OperationPlan;
  image: ImageRow;
  stageDir: string;
  artifactDir: string;
}

/** A build as far as its stage directory. */
async function begin(workspace: Workspace, name = 'one'): Promise<Building> {
  const { plan, image } = buildPlan(workspace.layout, name);
  const { operation } = await Operation.begin(workspace, () => {
    assertNameFree(workspace.store, name);
    return { plan };
  });
  const { stageDir = '', artifactDir = '' } = plan;
  await mkdir(stageDir);
  await writeFile(join(stageDir, 'kernel'), name);
  return { operation, plan, image, stageDir, artifactDir };
}

function reserving(image: ImageRow, mode: Reservation['mode']): OperationPlan {
  return {
    kind: 'promote',
    imageId: image.id,
    imageName: image.name,
    reservations: [{ kind: 'image', key: image.id, mode }],
  };
}

function journal(state: State): Record<string, unknown>[] {
  return state.sql('SELECT state, error, stage FROM operations ORDER BY started_at');
}

describe('a name', () => {
  test('of an image is taken, and so is one that is being made: exit 4', async ({ state }) => {
    const workspace = await state.open();
    workspace.store.write(() => insertImage(workspace.store, imageRow({ name: 'there' })));
    await expect(begin(workspace, 'there')).rejects.toMatchObject({
      code: 'already_exists',
      exitCode: 4,
      message: expect.stringContaining('an image named there exists'),
    });
    const { operation } = await begin(workspace, 'coming');
    await expect(begin(workspace, 'coming')).rejects.toMatchObject({
      exitCode: 4,
      message: expect.stringMatching(new RegExp(`taken by build coming \\(pid ${process.pid} on `, 'u')),
      hints: [
        expect.stringContaining(`banger operation show ${operation.row.id.slice(0, 12)}`),
        expect.anything(),
      ],
    });
    await operation.fail(new Error('enough'));
    const { operation: next } = await begin(workspace, 'coming');
    await next.fail(new Error('enough'));
    workspace.close();
    await state.settle();
  });

  test('that several processes want at once goes to exactly one of them', async ({ state }) => {
    const { layout } = state;
    (await state.open()).close();
    const workers = Array.from({ length: 4 }, () =>
      state.start('operate', [JSON.stringify(buildPlan(layout, 'wanted')), 'begun']),
    );
    const other = state.start('operate', [JSON.stringify(buildPlan(layout, 'another')), 'begun']);
    await other.said(/^begun/u);
    const said = await Promise.all(workers.map((worker) => worker.said(/^(?:begun|error .*)$/u)));
    expect(said.filter((line) => line === 'begun')).toHaveLength(1);
    expect(said.filter((line) => /^error already_exists .*taken by build wanted/u.test(line))).toHaveLength(
      3,
    );
    for (const worker of [...workers, other]) {
      worker.tell('go');
      await worker.ended;
    }
    expect(state.sql('SELECT name FROM images ORDER BY name')).toEqual([
      { name: 'another' },
      { name: 'wanted' },
    ]);
    await state.settle();
  });
});

describe('an image', () => {
  test.for([
    ['shared', 'shared', true],
    ['shared', 'exclusive', false],
    ['exclusive', 'shared', false],
    ['exclusive', 'exclusive', false],
  ] as const)('reserved %s, then %s: %s', async ([first, second, free], { state }) => {
    const workspace = await state.open();
    const image = imageRow();
    workspace.store.write(() => insertImage(workspace.store, image));
    const reserve = (mode: Reservation['mode']) =>
      Operation.begin(workspace, () => {
        assertImageFree(workspace.store, image, mode);
        return { plan: reserving(image, mode) };
      });
    const { operation } = await reserve(first);
    if (free) {
      const { operation: other } = await reserve(second);
      await other.fail(new Error('enough'));
    } else {
      await expect(reserve(second)).rejects.toMatchObject({
        code: 'conflict',
        exitCode: 5,
        message: expect.stringContaining(`image ${image.name} is in use by promote`),
      });
    }
    await operation.fail(new Error('enough'));
    const { operation: next } = await reserve('exclusive');
    await next.fail(new Error('enough'));
    workspace.close();
    await state.settle();
  });
});

describe('an operation', () => {
  test('publishes by one rename, and is over', async ({ state }) => {
    const workspace = await state.open();
    const { operation, image, stageDir, artifactDir } = await begin(workspace);
    await operation.activate(image);
    expect([existsSync(stageDir), existsSync(artifactDir)]).toEqual([false, true]);
    expect(imageById(workspace.store, image.id)).toBeUndefined();
    await operation.persist((store) => insertImage(store, image));
    expect(imageById(workspace.store, image.id)).toEqual(image);
    expect(journal(state)).toEqual([{ state: 'succeeded', error: null, stage: 'persisted' }]);
    workspace.close();
    await state.settle();
    expect(readFileSync(join(artifactDir, 'kernel'), 'utf8')).toBe('one');
  });

  test.for(['begun', 'staged', 'activated'] as const)(
    'that fails when it is %s leaves no directory and no reservation',
    async (point, { state }) => {
      const workspace = await state.open();
      const { operation, image } = await begin(workspace);
      if (point === 'begun') await rm(operation.row.stage_dir ?? '', { recursive: true });
      operation.enterStage('write_metadata');
      if (point === 'activated') await operation.activate(image);
      expect(await operation.fail(new Error('no luck'))).toBeUndefined();
      expect(readdirSync(state.layout.imagesDir)).toEqual([]);
      expect(journal(state)).toEqual([{ state: 'failed', error: 'no luck', stage: 'write_metadata' }]);
      expect(state.sql("SELECT stage, message FROM operation_events WHERE event = 'failed'")).toEqual([
        { stage: 'write_metadata', message: 'no luck' },
      ]);
      workspace.close();
      state.assertSettled();
    },
  );

  test('refuses to publish where a directory stands, and does not touch it: exit 11', async ({ state }) => {
    const workspace = await state.open();
    const { operation, image, artifactDir } = await begin(workspace);
    await mkdir(artifactDir);
    await writeFile(join(artifactDir, 'precious'), '');
    const error = await operation.activate(image).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'corrupt', exitCode: 11, hints: ['banger check --repair'] });
    expect(await operation.fail(error)).toBeUndefined();
    workspace.close();
    expect(readdirSync(state.layout.imagesDir)).toEqual([image.id]);
    expect(readdirSync(artifactDir)).toEqual(['precious']);
    await rm(artifactDir, { recursive: true });
    await state.settle();
  });

  test('is not afraid of another that writes into its directory while it is removed', async ({ state }) => {
    const workspace = await state.open();
    const { operation, stageDir } = await begin(workspace);
    const writing = state.start('write-files', [stageDir, '400']);
    await writing.said(/^writing/u);
    expect(await operation.fail(new Error('no luck'))).toBeUndefined();
    await writing.ended;
    workspace.close();
    state.assertSettled();
  });

  test('that cannot be recorded as failed says what is left, and the next command sees to it', async ({
    state,
  }) => {
    const workspace = await state.open();
    const { operation, stageDir } = await begin(workspace);
    state.sql('ALTER TABLE operation_events RENAME TO hidden');
    expect(await operation.fail(new Error('no luck'))).toMatchObject({
      message: expect.stringContaining('operation_events'),
    });
    workspace.close();
    state.sql('ALTER TABLE hidden RENAME TO operation_events');
    expect(existsSync(stageDir)).toBe(false);
    await state.settle();
  });
});

describe('a cancel', () => {
  test('by a signal is recorded as one', async ({ state }) => {
    const stop = new AbortController();
    const workspace = await state.open({ signal: stop.signal });
    const { operation, image } = await begin(workspace);
    stop.abort(new CancelledError('SIGINT'));
    const error = await operation.activate(image).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'cancelled', exitCode: 130 });
    await operation.fail(error);
    expect(journal(state)).toMatchObject([{ state: 'cancelled', error: 'cancelled by SIGINT' }]);
    workspace.close();
    state.assertSettled();
  });

  test('from another process comes within a second, as by SIGTERM', async ({ state }) => {
    const workspace = await state.open();
    const { operation } = await begin(workspace);
    const started = performance.now();
    cancelOperation(workspace.store, state.layout, operation.row.id);
    while (!operation.signal.aborted && performance.now() - started < 5000) await sleep(10);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(operation.signal.reason).toMatchObject({
      exitCode: 143,
      message: expect.stringContaining(`banger operation cancel ${operation.row.id.slice(0, 12)}`),
    });
    await operation.fail(operation.signal.reason);
    expect(journal(state)).toMatchObject([{ state: 'cancelled' }]);
    workspace.close();
    state.assertSettled();
  });

  test('ends the wait for the lock before publishing', async ({ state }) => {
    const workspace = await state.open({ timeoutMs: 60_000 });
    const { operation, image } = await begin(workspace);
    const holder = state.start('hold-lock', []);
    await holder.said(/^held/u);
    const activating = operation.activate(image).catch((thrown: unknown) => thrown);
    cancelOperation(workspace.store, state.layout, operation.row.id);
    const error = await Promise.race([activating, sleep(5000, 'it still waits')]);
    expect(error).toMatchObject({ exitCode: 143 });
    await operation.fail(error);
    holder.tell('release');
    holder.tell('end');
    await holder.ended;
    workspace.close();
    state.assertSettled();
  });

  test('that was left in time is kept to, even when nobody has seen it yet', async ({ state }) => {
    const workspace = await state.open();
    const { operation, image } = await begin(workspace);
    cancelOperation(workspace.store, state.layout, operation.row.id);
    expect(operation.signal.aborted).toBe(false);
    const error = await operation.activate(image).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ exitCode: 143 });
    await operation.fail(error);
    workspace.close();
    state.assertSettled();
  });

  test('of one that is over is refused: exit 5', async ({ state }) => {
    const workspace = await state.open();
    const { operation } = await begin(workspace);
    await operation.fail(new Error('no luck'));
    expect(() => cancelOperation(workspace.store, state.layout, operation.row.id)).toThrow(
      expect.objectContaining({ exitCode: 5 }),
    );
    workspace.close();
  });

  test('is no longer looked for in a registry that was closed', async ({ state }) => {
    const workspace = await state.open();
    const { operation } = await begin(workspace);
    workspace.close();
    // What a timer throws would end the process, and fails a test run.
    await sleep(600);
    expect(operation.signal.aborted).toBe(true);
    await state.settle();
  });
});

describe('one that was taken for dead', () => {
  /** What a hand does that empties live/ while a build runs. */
  async function robbed(state: State): Promise<Building & { workspace: Workspace }> {
    const workspace = await state.open();
    const building = await begin(workspace);
    return { workspace, ...building };
  }

  async function removeLiveFile({ layout, run }: Workspace): Promise<void> {
    await rm(join(layout.liveDir, `${run.row.id}.lock`));
  }

  test('publishes nothing once it has been cleaned up after', async ({ state }) => {
    const { workspace, operation, image, stageDir } = await robbed(state);
    await removeLiveFile(workspace);
    const other = state.start('settle', []);
    expect((await other.ended).output).toMatch(/^done$/mu);
    expect(existsSync(stageDir)).toBe(false);
    // It goes on all the same, with files that it makes anew.
    await mkdir(stageDir);
    const error = await operation.activate(image).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'busy', message: expect.stringContaining('took this run for dead') });
    expect(await operation.fail(error)).toBeUndefined();
    expect(journal(state)).toMatchObject([{ state: 'interrupted' }]);
    workspace.close();
    state.assertSettled();
  });

  test('leaves alone what another published in the same place since', async ({ state }) => {
    const { workspace, operation, image, plan, artifactDir } = await robbed(state);
    await operation.activate(image);
    await removeLiveFile(workspace);
    const other = state.start('operate', [JSON.stringify({ plan, image })]);
    expect((await other.ended).output).toMatch(/^done$/mu);
    expect(readFileSync(join(artifactDir, 'rootfs.ext4'), 'utf8')).toBe('one');

    const error = await operation
      .persist((store) => updateImage(store, { ...image, name: 'stolen' }))
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'busy', message: expect.stringContaining('passed to another run') });
    expect(await operation.fail(error)).toBeUndefined();
    expect(existsSync(join(artifactDir, 'rootfs.ext4'))).toBe(true);
    workspace.close();
    await state.settle();
    expect(state.sql('SELECT name FROM images')).toEqual([{ name: 'one' }]);
  });
});
