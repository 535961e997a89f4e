import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { cancelOperation, listJournal, showOperation } from '../../src/lib/journal.ts';
import { operationReport, operationTable } from '../../src/lib/journal-report.ts';
import { Operation } from '../../src/lib/operation.ts';
import type { Workspace } from '../../src/lib/workspace.ts';
import { buildPlan } from './plans.ts';
import { type State, test } from './state.ts';

async function begin(workspace: Workspace, name: string): Promise<Operation> {
  const { operation } = await Operation.begin(workspace, () => ({
    plan: buildPlan(workspace.layout, name).plan,
  }));
  return operation;
}

/** An operation of a run that ended without it. */
async function beginDead(state: State, name: string): Promise<Operation> {
  const workspace = await state.open();
  const operation = await begin(workspace, name);
  workspace.close();
  return operation;
}

describe('the journal', () => {
  test('lists the newest first, up to a limit, and tells the dead from the living', async ({ state }) => {
    await beginDead(state, 'dead');
    const workspace = await state.open();
    const first = await begin(workspace, 'first');
    const second = await begin(workspace, 'second');
    // A millisecond is long enough for two to begin in it.
    state.sql("UPDATE operations SET started_at = '2030-01-01T00:00:00.000Z' WHERE image_name = 'second'");
    const names = (options: { running: boolean; limit: number }): string[] =>
      listJournal(workspace, options).map((operation) => operation.image_name);
    expect(names({ running: false, limit: 2 })).toEqual(['second', 'first']);
    expect(names({ running: true, limit: 10 })).toEqual(['second', 'first']);
    expect(names({ running: true, limit: 1 })).toEqual(['second']);
    expect(listJournal({ ...workspace, store: null }, { running: false, limit: 9 })).toEqual([]);
    await second.fail(new Error('enough'));
    await first.fail(new Error('enough'));
    expect(names({ running: true, limit: 10 })).toEqual([]);
    workspace.close();
    await state.settle();
  });

  test('does not let the dead hide the living', async ({ state }) => {
    const alive = await state.open();
    const building = await begin(alive, 'alive');
    await beginDead(state, 'dead');
    state.sql("UPDATE operations SET started_at = '2000-01-01T00:00:00.000Z' WHERE image_name = 'dead'");
    expect(listJournal(alive, { running: true, limit: 1 }).map((row) => row.image_name)).toEqual(['alive']);
    await building.fail(new Error('enough'));
    alive.close();
    await state.settle();
  });

  test('does not call dead what ended between two looks', async ({ state }) => {
    const workspace = await state.open();
    const operation = await begin(workspace, 'quick');
    const liveFile = join(state.layout.liveDir, `${workspace.run.row.id}.lock`);
    // It reads the row, and comes late to see whether the run lives.
    const slow = ['strace', '-f', '-qq', '-o', '/dev/null', ...['-P', liveFile], ...['-e', 'trace=openat']];
    const prefix = [...slow, '-e', 'inject=openat:delay_enter=1500000'];
    const looking = state.start('list-journal', [], { prefix });
    await looking.said(/^looking/u);
    await operation.fail(new Error('no luck'));
    workspace.close();
    expect((await looking.ended).output).toMatch(/^failed null$/mu);
  });

  test('shows an operation by a beginning of its id, with its events', async ({ state }) => {
    const workspace = await state.open();
    const operation = await begin(workspace, 'one');
    operation.enterStage('seed_ssh');
    const shown = showOperation(workspace, operation.row.id.slice(0, 4));
    expect(shown).toMatchObject({ id: operation.row.id, alive: true, stage: 'seed_ssh' });
    expect(shown.events).toEqual([
      { at: expect.any(String), stage: 'seed_ssh', event: 'started', message: null },
    ]);
    expect(shown).not.toHaveProperty('planned_image');
    await operation.fail(new Error('no \u001b[31mluck'));
    expect(operationReport(showOperation(workspace, operation.row.id))).toMatch(/^error: +no luck$/mu);
    expect(operationTable(listJournal(workspace, { running: false, limit: 9 }))).toMatch(
      / build +one +failed /u,
    );
    for (const ref of ['0'.repeat(32), 'zz', operation.row.id.slice(0, 3), "' OR 1", '%%%%']) {
      expect(() => showOperation(workspace, ref)).toThrow(expect.objectContaining({ exitCode: 3 }));
    }
    workspace.close();
    await state.settle();
  });

  test('asks which, when the beginning is of several', async ({ state }) => {
    const workspace = await state.open();
    const [one, two] = [await begin(workspace, 'one'), await begin(workspace, 'two')];
    await one.fail(new Error('enough'));
    await two.fail(new Error('enough'));
    state.sql('DELETE FROM operation_events');
    state.sql("UPDATE operations SET id = 'abcd' || substr(id, 5)");
    expect(() => showOperation(workspace, 'abcd')).toThrow(
      expect.objectContaining({ exitCode: 2, hints: [expect.any(String), expect.any(String)] }),
    );
    workspace.close();
  });
});

describe('cancelling', () => {
  test('leaves a mark, and shows it', async ({ state }) => {
    const workspace = await state.open();
    const operation = await begin(workspace, 'one');
    const cancelled = cancelOperation(workspace.store, state.layout, operation.row.id);
    expect(cancelled).toMatchObject({
      state: 'running',
      alive: true,
      cancel_requested_at: expect.any(String),
    });
    await operation.fail(new Error('enough'));
    workspace.close();
    await state.settle();
  });

  test('what is dead, over or not there says so', async ({ state }) => {
    const dead = await beginDead(state, 'dead');
    const workspace = await state.open();
    expect(() => cancelOperation(workspace.store, state.layout, dead.row.id)).toThrow(
      expect.objectContaining({ exitCode: 5, message: expect.stringContaining('is dead') }),
    );
    const over = await begin(workspace, 'over');
    await over.fail(new Error('enough'));
    expect(() => cancelOperation(workspace.store, state.layout, over.row.id)).toThrow(
      expect.objectContaining({ exitCode: 5, message: expect.stringContaining('is over: failed') }),
    );
    expect(() => cancelOperation(null, state.layout, over.row.id)).toThrow(
      expect.objectContaining({ exitCode: 3 }),
    );
    workspace.close();
    await state.settle();
  });
});
