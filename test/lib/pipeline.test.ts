import { existsSync, readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { toBangerError } from '../../src/lib/error-report.ts';
import { BangerError, CancelledError, PreflightError } from '../../src/lib/errors.ts';
import { Operation } from '../../src/lib/operation.ts';
import { carryOut, publishingStages, type Stage } from '../../src/lib/pipeline.ts';
import { PROGRESS_MODES } from '../../src/lib/progress.ts';
import { UnknownCommitError } from '../../src/lib/store/errors.ts';
import { insertImage } from '../../src/lib/store/images.ts';
import type { ImageRow } from '../../src/lib/store/schema.ts';
import type { Workspace } from '../../src/lib/workspace.ts';
import { buildPlan } from './plans.ts';
import { type State, test } from './state.ts';

interface Begun {
  workspace: Workspace;
  operation: Operation;
  image: ImageRow;
  make: Stage;
}

async function begin(state: State, options: { signal?: AbortSignal; log?: boolean } = {}): Promise<Begun> {
  const workspace = await state.open(options.signal ? { signal: options.signal } : {});
  const { plan, image } = buildPlan(workspace.layout, 'one');
  const { logPath: _logPath, ...withoutLog } = plan;
  const { operation } = await Operation.begin(workspace, () => ({
    plan: options.log === false ? withoutLog : plan,
  }));
  const make: Stage = { name: 'launch_builder', run: () => mkdir(plan.stageDir ?? '') };
  return { workspace, operation, image, make };
}

/** What carrying out stages throws. */
async function failure(
  operation: Operation,
  stages: Stage[],
  abandon?: () => Promise<void>,
): Promise<unknown> {
  const options = { progress: 'none' as const, ...(abandon ? { abandon } : {}) };
  return carryOut(operation, stages, options).then(
    () => expect.unreachable('it was carried out'),
    (error: unknown) => error,
  );
}

function failing(error: unknown): Stage {
  return {
    name: 'write_metadata',
    run() {
      throw error;
    },
  };
}

function events(state: State): string[] {
  return state
    .sql('SELECT stage, event FROM operation_events ORDER BY id')
    .map(({ stage, event }) => `${stage} ${event}`);
}

describe('stages', () => {
  test('run one after the other, each in the journal as it begins and ends', async ({ state }) => {
    const { workspace, operation, image, make } = await begin(state);
    const order: string[] = [];
    const slow: Stage = {
      name: 'write_metadata',
      async run() {
        order.push('begin');
        await sleep(20);
        order.push('end');
      },
    };
    const quick: Stage = { name: 'seed_ssh', run: () => void order.push('quick') };
    const publishing = publishingStages(operation, image, (store) => insertImage(store, image));
    await carryOut(operation, [make, slow, quick, ...publishing], { progress: 'none' });
    expect(order).toEqual(['begin', 'end', 'quick']);
    const names = ['launch_builder', 'write_metadata', 'seed_ssh', 'activate_artifacts', 'persisted'];
    expect(events(state)).toEqual(names.flatMap((name) => [`${name} started`, `${name} finished`]));
    expect(state.sql('SELECT state, stage FROM operations')).toEqual([
      { state: 'succeeded', stage: 'persisted' },
    ]);
    workspace.close();
    await state.settle();
  });

  test('after one that failed do not run, and what was made is gone', async ({ state }) => {
    const { workspace, operation, make } = await begin(state);
    let reached = false;
    const after: Stage = {
      name: 'persisted',
      run() {
        reached = true;
      },
    };
    await failure(operation, [make, failing(new Error('no luck')), after]);
    expect(reached).toBe(false);
    expect(events(state)).toEqual([
      'launch_builder started',
      'launch_builder finished',
      'write_metadata started',
      'write_metadata failed',
    ]);
    workspace.close();
    state.assertSettled();
  });

  test('do not begin once the operation is cancelled, but for the one past the point of no return', async ({
    state,
  }) => {
    const stop = new AbortController();
    const { workspace, operation, make } = await begin(state, { signal: stop.signal });
    const reason = new CancelledError('SIGHUP');
    const cancelling: Stage = { name: 'write_metadata', run: () => stop.abort(reason) };
    const reached: string[] = [];
    const committing: Stage = {
      name: 'persisted',
      committing: true,
      run: () => void reached.push('persisted'),
    };
    const ordinary: Stage = { name: 'seed_ssh', run: () => void reached.push('seed_ssh') };
    const error = await failure(operation, [make, cancelling, committing, ordinary]);
    expect(error).toBe(reason);
    expect(error).toMatchObject({ code: 'cancelled', exitCode: 129 });
    expect(reached).toEqual(['persisted']);
    expect(state.sql('SELECT state FROM operations')).toEqual([{ state: 'cancelled' }]);
    workspace.close();
    state.assertSettled();
  });
});

describe('an error', () => {
  test('comes out as it was thrown where there is nothing to add', async ({ state }) => {
    const { workspace, operation, make } = await begin(state, { log: false });
    const thrown = new Error('no luck');
    expect(await failure(operation, [make, failing(thrown)])).toBe(thrown);
    workspace.close();
    state.assertSettled();
  });

  test.for([
    [
      'of ours',
      () => new BangerError('step_failed', 'apt-get failed', { hints: ['try again'], details: { step: 2 } }),
    ],
    ['with several faults', () => new PreflightError('build', [{ message: 'a', mend: 'b' }])],
    ['of a commit', () => new UnknownCommitError('/x', new Error('disk I/O error'))],
  ] as const)('%s keeps what it is, and names the log', async ([, make], { state }) => {
    const { workspace, operation } = await begin(state);
    const thrown = make();
    const { hints, details } = thrown;
    const error = await failure(operation, [failing(thrown)]);
    const log = operation.row.log_path;
    expect(error).toBe(thrown);
    expect(error).toMatchObject({ hints: [...hints, `less ${log}`], details: { ...details, log_path: log } });
    workspace.close();
    await state.settle();
  });

  test('that is none of ours becomes ours, and names the log', async ({ state }) => {
    const { workspace, operation } = await begin(state);
    const thrown = new TypeError('x is not a function');
    const error = await failure(operation, [failing(thrown)]);
    expect(error).toMatchObject({
      code: 'internal',
      message: 'unexpected: x is not a function',
      cause: thrown,
      details: { log_path: operation.row.log_path },
    });
    workspace.close();
    state.assertSettled();
  });

  test('of the system is no bug', () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    expect(toBangerError(full)).toMatchObject({
      code: 'preflight_failed',
      message: full.message,
      cause: full,
    });
    const broken = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    expect(toBangerError(broken)).toMatchObject({ code: 'tool_failed', exitCode: 9 });
    const ours = Object.assign(new Error('EBADF: bad file descriptor'), { code: 'EBADF' });
    expect(toBangerError(ours)).toMatchObject({ code: 'internal', exitCode: 1 });
  });

  test('stays the first one, whatever fails while it is cleaned up after', async ({ state }) => {
    const { workspace, operation, make } = await begin(state);
    const thrown = new BangerError('step_failed', 'apt-get failed');
    const abandon = async (): Promise<void> => {
      expect(existsSync(operation.row.stage_dir ?? '')).toBe(true);
      throw new Error('fuse2fs hangs');
    };
    state.sql('ALTER TABLE operation_events RENAME TO hidden');
    const stages: Stage[] = [
      { ...make, committing: true },
      { ...failing(thrown), committing: true },
    ];
    const error = await failure(operation, stages, abandon);
    expect(error).toBe(thrown);
    expect((error as BangerError).hints).toEqual([
      expect.stringMatching(/^what is left \(fuse2fs hangs\) is removed by the next command/u),
      expect.stringMatching(/^what is left \(.*operation_events\) is removed by the next command/u),
      `less ${operation.row.log_path}`,
    ]);
    expect(readdirSync(state.layout.imagesDir)).toEqual([]);
    state.sql('ALTER TABLE hidden RENAME TO operation_events');
    workspace.close();
    await state.settle();
  });
});

describe('progress', () => {
  test('in plain lines goes to standard error', async ({ state }) => {
    const { output, status } = await state.start('carry-out', ['plain', 'succeed']).ended;
    expect(status).toBe(0);
    const [said = '', progress = ''] = output.split('carried out');
    expect(said).toMatch(/^pid \d+\n$/u);
    expect(progress.replaceAll(/\d+\.\ds/gu, 'TIME')).toBe(
      '\ndone\nfirst ...\n  cloned  in full\nfirst done in TIME\nsecond ...\nsecond done in TIME\n',
    );
    expect(output).not.toContain('\u001b');
    await state.settle();
  });

  test('for programs is an object a line', async ({ state }) => {
    const { output } = await state.start('carry-out', ['json', 'succeed']).ended;
    const events = output.split('\n').filter((line) => line.startsWith('{'));
    expect(events.map((line) => JSON.parse(line))).toMatchObject([
      { event: 'started', stage: 'first' },
      { event: 'note', stage: 'first', message: expect.stringContaining('cloned') },
      { event: 'finished', stage: 'first', duration_ms: expect.any(Number) },
      { event: 'started', stage: 'second' },
      { event: 'finished', stage: 'second' },
    ]);
    expect(output).not.toContain('\u001b');
    await state.settle();
  });

  test('can be silent', async ({ state }) => {
    const { output } = await state.start('carry-out', ['none', 'succeed']).ended;
    expect(output).toMatch(/^pid \d+\ncarried out\ndone\n$/u);
    await state.settle();
  });

  test('on a terminal goes to standard error, and leaves the error to be told once', async ({ state }) => {
    const { output } = await state.start('carry-out', ['live', 'fail']).ended;
    const [said = '', ...live] = output.split('\u001b');
    expect(said).toMatch(/^pid \d+\nerror step_failed no luck\n/u);
    expect(live.join('')).toContain('second');
    expect(live.join('')).not.toContain('no luck');
    await state.settle();
  });

  test.for(PROGRESS_MODES)('%s leaves signals to the command', async (mode, { state }) => {
    const worker = state.start('carry-out', [mode, 'wait']);
    await worker.said(/^waiting/u);
    worker.kill('SIGINT');
    const { output, status, signal } = await worker.ended;
    expect([status, signal]).toEqual([0, null]);
    expect(output).toMatch(/^error cancelled cancelled by SIGINT$/mu);
    expect(state.sql('SELECT state FROM operations')).toEqual([{ state: 'cancelled' }]);
    await state.settle();
  });

  test('keeps no process alive once it is over', async ({ state }) => {
    const worker = state.start('carry-out', ['plain', 'succeed']);
    await worker.said(/^carried out/u);
    const started = performance.now();
    await worker.ended;
    expect(performance.now() - started).toBeLessThan(900);
  });
});
