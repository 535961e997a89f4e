import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { asidePath, TRASH } from '../../src/lib/layout.ts';
import { Operation, type OperationPlan } from '../../src/lib/operation.ts';
import { insertImage } from '../../src/lib/store/images.ts';
import type { ImageRow } from '../../src/lib/store/schema.ts';
import { openWorkspace } from '../../src/lib/workspace.ts';
import { buildPlan, imageRow } from './plans.ts';
import { type State, test } from './state.ts';
import { attachStrace } from './strace.ts';
import type { Worker } from './worker.ts';

type Planned = { plan: OperationPlan; image: ImageRow };

/** Kills at one of these system calls (of its thread, or on a path); the call itself does not happen. */
function killedAt(call: string, when = 1, path?: string): string[] {
  const quiet = ['strace', '-f', '-qq', '-o', '/dev/null'];
  const narrow = path === undefined ? [] : ['-P', path];
  return [
    ...quiet,
    ...narrow,
    ...['-e', `trace=${call}`],
    ...['-e', `inject=${call}:signal=KILL:when=${when}`],
  ];
}

/** A build that dies at a point, or at a system call. */
async function crash(state: State, planned: Planned, at: string | { prefix: string[] }): Promise<void> {
  const stop = typeof at === 'string' ? at : '';
  const worker = state.start('operate', [JSON.stringify(planned), stop], typeof at === 'string' ? {} : at);
  if (stop !== '') await worker.said(new RegExp(`^${stop}$`, 'u'));
  worker.tell('die');
  const { output } = await worker.ended;
  expect(output).not.toMatch(/^(?:done|error)/mu);
}

async function make(state: State): Promise<Planned> {
  (await state.open()).close();
  return buildPlan(state.layout, 'one');
}

function lastOperation(state: State): Record<string, unknown> | undefined {
  return state.sql('SELECT kind, state, error FROM operations ORDER BY started_at, rowid').at(-1);
}

async function over(worker: Worker): Promise<string> {
  return (await worker.ended).output;
}

describe('the next command that takes the lock cleans up after a build that was killed', () => {
  test.for([
    ['when it had begun', 'begun'],
    ['with a stage directory', 'staged'],
    ['between its plan and the rename', { prefix: killedAt('rename') }],
    ['between the rename and the row', 'activated'],
  ] as const)('%s', async ([, at], { state }) => {
    const planned = await make(state);
    await crash(state, planned, typeof at === 'string' ? at : { prefix: [...at.prefix] });
    await state.settle();
    expect(state.sql('SELECT * FROM images')).toEqual([]);
    expect(readdirSync(state.layout.imagesDir)).toEqual([]);
    expect(lastOperation(state)).toEqual({ kind: 'build', state: 'interrupted', error: 'the run died' });
    expect(state.notes).toEqual(["cleaning up after 'banger image build one', which was killed"]);
  });

  test('after its row: then it has succeeded', async ({ state }) => {
    const planned = await make(state);
    await crash(state, planned, 'persisted');
    await state.settle();
    expect(lastOperation(state)).toMatchObject({ state: 'succeeded' });
    expect(readdirSync(planned.plan.artifactDir ?? '')).toHaveLength(3);
  });

  test('and its name is free at once', async ({ state }) => {
    await crash(state, await make(state), 'staged');
    const again = state.start('operate', [JSON.stringify(buildPlan(state.layout, 'one'))]);
    // Its own phase 1 cleans up, but what it decides there is decided after that.
    expect(await over(again)).toMatch(/^done$/mu);
    await state.settle();
  });

  test('but not while it is only stopped', async ({ state }) => {
    const planned = await make(state);
    const worker = state.start('operate', [JSON.stringify(planned), 'staged']);
    await worker.said(/^staged/u);
    worker.kill('SIGSTOP');
    const workspace = await state.open();
    await workspace.locked(() => {});
    workspace.close();
    expect(existsSync(planned.plan.stageDir ?? '')).toBe(true);
    worker.kill('SIGCONT');
    worker.tell('go');
    expect(await over(worker)).toMatch(/^done$/mu);
    await state.settle();
  });
});

describe('a deletion that was killed', () => {
  test.for([
    ['after its row was gone', 'rename', false],
    ['after its row was gone, for good', 'rename', true],
    ['when its directory was out of the way, for good', 'rmdir', true],
  ] as const)('%s is completed', async ([, call, purge], { state }) => {
    const planned = await make(state);
    const building = state.start('operate', [JSON.stringify(planned)]);
    expect(await over(building)).toMatch(/^done$/mu);
    const deleting = state.start('delete', ['one', purge ? 'purge' : 'keep'], { prefix: killedAt(call) });
    deleting.tell('go');
    expect(await over(deleting)).not.toMatch(/^deleted/mu);
    expect(state.sql('SELECT * FROM images')).toEqual([]);
    expect(readdirSync(state.layout.imagesDir).filter((name) => name !== TRASH)).toHaveLength(1);
    await state.settle();
    expect(readdirSync(state.layout.imagesDir)).toEqual(purge ? [] : [TRASH]);
    expect(state.sql('SELECT name FROM trash')).toEqual(purge ? [] : [{ name: 'one' }]);
    expect(lastOperation(state)).toEqual({ kind: 'delete', state: 'succeeded', error: null });
  });
});

describe('a COMMIT of unknown outcome leaves everything to the next holder of the lock', () => {
  test('who finds the row, and completes', async ({ state }) => {
    const planned = await make(state);
    const worker = state.start('operate', [JSON.stringify(planned), 'activated']);
    await worker.said(/^activated/u);
    // All is written, nothing is synced, and nobody is left who knows.
    await attachStrace(worker, 'inject=fsync,fdatasync:signal=KILL');
    worker.tell('go');
    expect(await over(worker)).not.toMatch(/^(?:persisted|error)/mu);
    await state.settle();
    expect(lastOperation(state)).toMatchObject({ state: 'succeeded' });
    expect(state.sql('SELECT name FROM images')).toEqual([{ name: 'one' }]);
    expect(readdirSync(state.layout.imagesDir)).toEqual([planned.image.id]);
  });

  test.for([
    ['from then on', 'inject=fsync,fdatasync:error=EIO', /^note the lock is kept until this command ends/mu],
    ['once', 'inject=fsync,fdatasync:error=EIO:when=1', /^pid/mu],
  ] as const)('who finds none, and undoes: the disk failed %s', async ([, inject, told], { state }) => {
    const planned = await make(state);
    const worker = state.start('operate', [JSON.stringify(planned), 'activated']);
    await worker.said(/^activated/u);
    await attachStrace(worker, inject);
    worker.tell('go');
    const output = await over(worker);
    // What comes after it does not hide it, and nothing is removed by the one that does not know.
    expect(output).toMatch(/^error tool_failed .*outcome is not known/mu);
    expect(output).toMatch(told);
    expect(existsSync(planned.plan.artifactDir ?? '')).toBe(true);
    await state.settle();
    expect(state.sql('SELECT * FROM images')).toEqual([]);
    expect(lastOperation(state)).toMatchObject({ state: 'interrupted' });
  });
});

describe('a recovery', () => {
  test.for([
    ['before its claim', 'rename', () => undefined],
    ['in the COMMIT of its claim', 'fsync', () => undefined],
    ['after its claim', 'rmdir', () => undefined],
    ['in the middle of removing', 'unlink', (aside: string) => join(aside, 'rootfs.ext4')],
    ['when all was removed', 'rmdir', (aside: string) => aside],
  ] as const)('that was killed %s is carried on', async ([, call, pathIn], { state }) => {
    const { plan, image } = await make(state);
    await crash(state, { plan, image }, 'activated');
    const [operation] = state.sql('SELECT id FROM operations');
    const path = pathIn(asidePath(plan.artifactDir ?? '', String(operation?.id)));
    // Of the main thread, the fourth sync is the claim's, the second directory removed is the lock's as it is released.
    const when = { rename: 1, fsync: 4, rmdir: path === undefined ? 2 : 1, unlink: 1 }[call];
    const killed = state.start('settle', [], { prefix: killedAt(call, when, path) });
    expect(await over(killed)).not.toMatch(/^done/mu);
    expect(readdirSync(state.layout.imagesDir)).toHaveLength(1);
    await state.settle();
    expect(readdirSync(state.layout.imagesDir)).toEqual([]);
    expect(lastOperation(state)).toMatchObject({ state: 'interrupted' });
  });

  test('happens once, when two commands come at once', async ({ state }) => {
    await crash(state, await make(state), 'activated');
    const both = [state.start('settle', []), state.start('settle', [])];
    const outputs = await Promise.all(both.map(over));
    for (const output of outputs) expect(output).toMatch(/^done$/mu);
    expect(outputs.join('\n').match(/^note cleaning up/gmu)).toHaveLength(1);
    state.assertSettled();
  });

  test('that was killed after its claim undoes nothing that was published in that place since', async ({
    state,
  }) => {
    const { plan, image } = await make(state);
    const workspace = await state.open();
    const unmanaged = imageRow({ id: image.id, name: image.name });
    workspace.store.write(() => insertImage(workspace.store, unmanaged));
    workspace.close();
    const promote: Planned = { image, plan: { ...plan, kind: 'promote', reservations: [] } };
    await crash(state, promote, 'activated');
    const killed = state.start('settle', [], { prefix: killedAt('rmdir', 2) });
    expect(await over(killed)).not.toMatch(/^done/mu);
    expect(readdirSync(state.layout.imagesDir)).toEqual([expect.stringContaining('.removing-')]);
    // As an update by hand, say: the row names the directory before anybody recovers the first operation again.
    await mkdir(plan.artifactDir ?? '');
    await writeFile(join(plan.artifactDir ?? '', 'kernel'), 'second');
    state.sql('UPDATE images SET managed = 1, artifact_dir = ?', plan.artifactDir);
    await state.settle();
    expect(readFileSync(join(plan.artifactDir ?? '', 'kernel'), 'utf8')).toBe('second');
    expect(lastOperation(state)).toEqual({ kind: 'promote', state: 'interrupted', error: 'the run died' });
  });

  test('that cannot remove something tells, does what it was asked to, and leaves it to the next', async ({
    state,
  }) => {
    const { plan, image } = await make(state);
    await crash(state, { plan, image }, 'staged');
    const [operation] = state.sql('SELECT id FROM operations');
    const aside = asidePath(plan.stageDir ?? '', String(operation?.id));
    const refused = ['strace', '-f', '-qq', '-o', '/dev/null', ...['-P', aside], '-e', 'trace=rmdir'];
    const worker = state.start('settle', [], { prefix: [...refused, '-e', 'inject=rmdir:error=EACCES'] });
    const output = await over(worker);
    expect(output).toMatch(/^done$/mu);
    expect(output).toMatch(/^note not all that 'banger image build one' left could be removed \(EACCES/mu);
    await state.settle();
    expect(readdirSync(state.layout.imagesDir)).toEqual([]);
  });

  test('that cannot move something out of the way tells, and frees the name', async ({ state }) => {
    await crash(state, await make(state), 'staged');
    const refused = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=rename'];
    const worker = state.start('settle', [], { prefix: [...refused, '-e', 'inject=rename:error=EPERM'] });
    const output = await over(worker);
    expect(output).toMatch(/^done$/mu);
    expect(output).toMatch(/^note not all that .* \(EPERM/mu);
    expect(state.sql('SELECT * FROM reservations')).toEqual([]);
    await state.settle();
    expect(readdirSync(state.layout.imagesDir)).toEqual([]);
  });
});

describe('what a killed run made of an image goes, though the image went to the trash meanwhile', () => {
  test.for([
    ['to verify it', 'verify', null],
    ['for a VM', 'vm_create', { id: '5'.repeat(32), name: 'runner' }],
  ] as const)('%s', async ([, kind, vm], { state }) => {
    const { layout } = state;
    const { plan, image } = await make(state);
    expect(await over(state.start('operate', [JSON.stringify({ plan, image })]))).toMatch(/^done$/mu);
    const stageDir = join(vm === null ? layout.imagesDir : layout.vmsDir, 'copy.verify-abc123');
    const own = vm === null ? {} : { vm, artifactDir: join(layout.vmsDir, vm.id) };
    const { artifactDir: _, ...rest } = plan;
    const copying: OperationPlan = { ...rest, ...own, kind, reservations: [], stageDir };
    await crash(state, { plan: copying, image }, 'staged');
    expect(existsSync(stageDir)).toBe(true);

    // One that had the lock before the run died does not clean up after it.
    await mkdir(layout.trashDir, { mode: 0o700 });
    await rename(join(layout.imagesDir, image.id), join(layout.trashDir, image.id));
    const { id, name } = image;
    state.sql('DELETE FROM images');
    const row = [id, name, JSON.stringify(image), new Date().toISOString()];
    state.sql('INSERT INTO trash (image_id, name, image, deleted_at) VALUES (?, ?, ?, ?)', ...row);

    await state.settle();
    expect(existsSync(stageDir)).toBe(false);
    expect(readdirSync(layout.trashDir)).toEqual([id]);
    expect(lastOperation(state)).toMatchObject({ kind, state: 'interrupted' });
  });
});

describe('a directory is left alone', () => {
  test('that no journal names', async ({ state }) => {
    const { layout } = state;
    await crash(state, await make(state), 'staged');
    const names = ['0'.repeat(32), `${'0'.repeat(32)}.build-abcdef`, `${'1'.repeat(32)}.removing-x`, 'notes'];
    for (const name of names) await mkdir(join(layout.imagesDir, name));
    const workspace = await state.open();
    await workspace.locked(() => {});
    workspace.close();
    expect(readdirSync(layout.imagesDir).sort()).toEqual(names.sort());
  });

  test('that stood where the image was to come before the build had renamed anything', async ({ state }) => {
    const planned = await make(state);
    const { artifactDir = '' } = planned.plan;
    await crash(state, planned, { prefix: killedAt('rename') });
    await mkdir(artifactDir);
    await writeFile(join(artifactDir, 'precious'), '');
    const killed = state.start('settle', [], { prefix: killedAt('rmdir', 2) });
    expect(await over(killed)).not.toMatch(/^done/mu);
    const workspace = await state.open();
    await workspace.locked(() => {});
    workspace.close();
    expect(readdirSync(artifactDir)).toEqual(['precious']);
    expect(readdirSync(state.layout.imagesDir)).toEqual([planned.image.id]);
  });

  test.for([
    ['outside the images', (state: State) => join(state.directory, '..', 'precious')],
    [
      'above them, spelled as one of theirs',
      (state: State) => join(state.layout.imagesDir, 'x/../../precious'),
    ],
    ['the images themselves', (state: State) => `${state.layout.imagesDir}/.`],
    ['the state directory', (state: State) => `${state.layout.imagesDir}/..`],
    ['of another image', (state: State) => join(state.layout.imagesDir, 'other')],
    ['reached by a link', (state: State) => join(state.directory, 'link', 'precious')],
  ] as const)('that a tampered registry names: %s', async ([, pathOf], { state }) => {
    const { layout } = state;
    const { plan } = await make(state);
    const places = ['../precious', 'precious', 'images/other', 'elsewhere/precious'];
    for (const place of places) await mkdir(join(state.directory, place), { recursive: true });
    await symlink('elsewhere', join(state.directory, 'link'));
    const workspace = await state.open();
    const other = imageRow({ managed: 1, artifact_dir: join(layout.imagesDir, 'other') });
    workspace.store.write(() => insertImage(workspace.store, other));
    await Operation.begin(workspace, () => ({ plan }));
    // Its run is over then, and the operation is not.
    workspace.close();
    state.sql('UPDATE operations SET stage_dir = ?', pathOf(state));
    await state.settle();
    for (const place of places) expect(existsSync(join(state.directory, place))).toBe(true);
    expect(lastOperation(state)).toMatchObject({ state: 'interrupted' });
  });
});

test('a state directory that is reached by another name is cleaned up all the same', async ({ state }) => {
  await crash(state, await make(state), 'activated');
  const link = `${state.directory}-by-another-name`;
  await symlink(state.directory, link);
  const workspace = await openWorkspace(
    { stateDir: link, lockTimeoutMs: 0 },
    { signal: new AbortController().signal, notify() {}, command: 'banger image rename a b' },
  );
  await workspace.locked(() => {});
  workspace.close();
  state.assertSettled();
});

test('the name that a directory gets before it is removed is short enough for any filesystem', ({
  state,
}) => {
  const { plan } = buildPlan(state.layout, 'one');
  expect(
    asidePath(plan.stageDir ?? '', 'f'.repeat(32))
      .split('/')
      .pop()?.length,
  ).toBeLessThan(143);
});
