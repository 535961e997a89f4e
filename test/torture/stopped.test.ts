import { readFileSync } from 'node:fs';
import { rmdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { test as stateTest } from '../lib/state.ts';
import { overlapsIn } from '../lib/turns.ts';
import { makeBootFiles, registerImage } from '../support/boot-files.ts';
import { buildArguments, type Failure, makeBase, until, untilPrinted } from '../support/builds.ts';
import type { CliResult, Home } from '../support/cli.ts';
import { holdTool } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { descendantsOf } from '../support/processes.ts';
import { stopAt } from './stop.ts';
import { count, sample, WHOLE } from './tally.ts';

const { root, user } = inject('testRun');
const account = root ?? user;

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) process.kill(pid, signal);
}

/** Again and again: nsenter(1) and unshare(1) stop themselves once more when they wake to find their child stopped. */
async function wakeAll<T>(pids: readonly number[], result: Promise<T>): Promise<T> {
  const wake = (): void => {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGCONT');
      } catch {
        // It has ended.
      }
    }
  };
  wake();
  const again = setInterval(wake, 200);
  return result.finally(() => clearInterval(again));
}

async function namesOf(home: Home): Promise<string[]> {
  return (await home.ok(['image', 'list', '--quiet'])).trim().split('\n');
}

// Side by side: most of the time they wait for others to give up.
describe.concurrent('a build that is stopped while its steps run', () => {
  const whom: [string, (pid: number) => number[]][] = [
    ['with all that it started', (pid) => descendantsOf(pid).map((one) => one.pid)],
    ['alone', () => []],
  ];

  test.for(sample(whom, 1))(
    '%s: its name is taken, others go on, and it publishes when it is woken',
    async ([, more], { makeHome }) => {
      const home = await makeHome(account);
      const { rootfs, kernel } = await makeBase(home);
      const build = home.start([
        ...buildArguments('one', '--run', 'echo ready; sleep 1; echo made >/made'),
        '--json',
      ]);
      await untilPrinted(home, 'ready');
      const stopped = [build.pid, ...more(build.pid)];
      signalAll(stopped, 'SIGSTOP');
      const flags = ['--rootfs', rootfs, '--kernel', kernel];
      const taken = await Promise.all(
        [buildArguments('one'), ['image', 'register', 'one', ...flags]].map((args) =>
          home.json<Failure>(args),
        ),
      );
      for (const { status, document } of taken) {
        expect(status).toBe(4);
        expect(document.error.message).toContain(`the name one is taken by build one (pid ${build.pid}`);
      }
      const [others] = await Promise.all([
        home.run(buildArguments('two')),
        home.ok(['image', 'register', 'three', ...flags]),
      ]);
      expect(others.status, others.stderr).toBe(0);
      await home.ok(['image', 'rename', 'three', 'four']);
      await home.fails(4, ['image', 'rename', 'four', 'one']);
      await home.fails(5, ['image', 'delete', 'base']);
      expect(await namesOf(home)).toEqual(['base', 'four', 'two']);
      const { status, stderr } = await wakeAll(stopped, build.result);
      expect(status, stderr).toBe(0);
      expect(await namesOf(home)).toEqual(['base', 'four', 'one', 'two']);
      await home.verify();
      count({ command: 'image build', torment: 'stops', tried: 1, lost: 0 });
    },
  );
});

/** What others get while somebody is stopped who has what they need: all of them 7, with his name and number. */
async function expectBusy(home: Home, flags: readonly string[], pid: number): Promise<void> {
  const wait = ['--lock-timeout', '1'];
  const all = await Promise.all(
    [
      ['image', 'register', 'late', ...flags],
      ['image', 'rename', 'still', 'later'],
      ['image', 'delete', 'still'],
    ].map((args) => home.run([...args, ...wait])),
  );
  for (const { status, stderr } of all) {
    expect(stderr).toMatch(
      new RegExp(`^error: .*(?:'banger image \\w+ one\\b.*'|'node').*\\(pid ${pid}\\b`, 'mu'),
    );
    expect(status).toBe(7);
  }
  expect(await namesOf(home)).toContain('still');
}

/** A command that is tormented, and what it leaves when it has done its work. */
const VICTIMS = {
  'image register': {
    args: (flags: readonly string[]) => ['image', 'register', 'one', ...flags],
    left: ['one', 'still'],
  },
  'image promote': { args: () => ['image', 'promote', 'one'], left: ['one', 'still'] },
  'image rename': { args: () => ['image', 'rename', 'one', 'two'], left: ['still', 'two'] },
  'image delete': { args: () => ['image', 'delete', 'one'], left: ['still'] },
} as const;
type Victim = keyof typeof VICTIMS;

async function prepare(home: Home, victim: Victim): Promise<string[]> {
  const { flags } = await makeBootFiles(home);
  await home.ok(['image', 'register', 'still', ...flags]);
  if (victim !== 'image register') await registerImage(home, 'one');
  return flags;
}

async function expectDone(home: Home, victim: Victim, result: CliResult): Promise<void> {
  expect(result.status, result.stderr).toBe(0);
  expect(await namesOf(home)).toEqual(VICTIMS[victim].left);
  // The next one has nothing to wait for, and nothing to clean up.
  expect((await home.run(['image', 'rename', 'still', 'free', '--lock-timeout', '0'])).stderr).toBe('');
  await home.verify();
  count({ command: victim, torment: 'stops', tried: 1, lost: 0 });
}

describe.concurrent('a command that is stopped', () => {
  // The n-th write to the write-ahead log: of beginning a run, of taking the lock, of the change, of letting go.
  const writes = (victim: Victim): [Victim, number][] =>
    Array.from({ length: 14 }, (_, index) => [victim, index + 1]);
  const inside = sample(
    Object.keys(VICTIMS).flatMap((victim) => writes(victim as Victim)),
    2,
  );

  test.for(inside)(
    'inside a write transaction, %s at write %i: 7 naming it; woken, it finishes',
    async ([victim, when], { makeHome }) => {
      const home = await makeHome(account);
      const flags = await prepare(home, victim);
      const at = { call: 'pwrite64', when, path: join(home.stateDir, 'banger.db-wal') };
      const stopped = await stopAt(home, VICTIMS[victim].args(flags), at);
      if (stopped === null) return;
      await expectBusy(home, flags, stopped.pid);
      await expectDone(home, victim, await stopped.wake());
    },
  );

  const meddlings = [
    ['left alone', async () => {}],
    ['removed', (path: string) => rmdir(path)],
    ['touched', (path: string) => utimes(path, 1, 1)],
    ['touched into the future', (path: string) => utimes(path, 4e9, 4e9)],
    ['a file', (path: string) => rmdir(path).then(() => writeFile(path, 'x'))],
    ['a link', (path: string) => rmdir(path).then(() => symlink('images', path))],
    ['filled', (path: string) => writeFile(join(path, 'x'), 'x')],
  ] as const;

  test.for(sample(meddlings, 2))(
    'with the lock, whose directory is %s: 7 naming it; woken, it finishes',
    async ([, meddle], { makeHome }) => {
      const home = await makeHome(account);
      const flags = await prepare(home, 'image promote');
      const stopped = await stopAt(home, VICTIMS['image promote'].args(), { call: 'rename', when: 1 });
      if (stopped === null) throw new Error('it did not stop');
      await meddle(join(home.stateDir, 'images.lock'));
      await expectBusy(home, flags, stopped.pid);
      await expectDone(home, 'image promote', await stopped.wake());
    },
  );
});

describe.concurrent('clocks', () => {
  const SHIFTS = ['-1d', '+1d', '-20y', '+10y'];

  test.for(sample(SHIFTS, 1))(
    'of one contender are set %s: nobody is robbed, nothing is lost',
    async (shift, { makeHome }) => {
      const home = await makeHome(account);
      const { rootfs, kernel } = await makeBase(home);
      const elsewhere = { under: ['faketime', '-f', shift] };
      const e2fsck = await holdTool(home, 'e2fsck');
      const build = home.start(buildArguments('one', '--run', 'true'), { ...elsewhere, env: e2fsck.env });
      await e2fsck.called();
      const flags = ['--rootfs', rootfs, '--kernel', kernel];
      await home.fails(4, ['image', 'register', 'one', ...flags]);
      await home.ok(['image', 'register', 'two', ...flags]);
      await home.ok(['image', 'rename', 'two', 'three'], elsewhere);
      await home.fails(5, ['image', 'delete', 'base'], elsewhere);
      await home.ok(['image', 'promote', 'three'], elsewhere);
      await e2fsck.release();
      const { status, stderr } = await build.result;
      expect(status, stderr).toBe(0);
      expect(await namesOf(home)).toEqual(['base', 'one', 'three']);
      await home.verify();
      // What a killed one leaves is cleaned up by one of another time.
      const killed = home.start(buildArguments('four', '--run', 'echo standing; sleep 60'), elsewhere);
      await untilPrinted(home, 'standing');
      process.kill(-killed.pid, 'SIGKILL');
      await killed.result;
      await home.ok(['image', 'rename', 'three', 'four']);
      await until('all processes gone', async () =>
        home.verify().then(
          () => true,
          () => false,
        ),
      );
      await home.verify();
      count({ command: 'all', torment: 'stops', tried: 6, lost: 0 });
    },
  );
});

describe.concurrent('one state used from several PID namespaces, where numbers of processes mean nothing', () => {
  const NAMESPACE = [
    'unshare',
    ...(root === null ? ['--map-root-user'] : []),
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ];

  stateTest('the lock is one', async ({ state }) => {
    const rounds = WHOLE ? 200 : 12;
    const workers = Array.from({ length: 4 }, () =>
      state.start('take-turns', [String(rounds)], { prefix: NAMESPACE }),
    );
    for (const worker of workers) {
      await worker.said(/^ready/u);
      expect(await worker.nodePid()).toBe(1);
    }
    for (const worker of workers) worker.tell('go');
    for (const worker of workers) expect((await worker.ended).output).toMatch(/^done$/mu);
    // All of them are number 1: an epoch is whose it is.
    const log = readFileSync(join(state.directory, 'turns'), 'utf8').replace(/ \d+ (\d+)$/gmu, ' $1');
    expect(log.match(/^enter/gmu)).toHaveLength(4 * rounds);
    expect(overlapsIn(log)).toEqual([]);
    await state.settle();
    count({ command: 'all', torment: 'crowd', tried: 4 * rounds, lost: 0 });
  });

  test('the living are left alone, the dead are cleaned up after', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs, kernel } = await makeBase(home);
    const flags = ['--rootfs', rootfs, '--kernel', kernel];
    const e2fsck = await holdTool(home, 'e2fsck');
    const args = buildArguments('one', '--run', 'true');
    const build = home.start(args, { under: NAMESPACE, env: e2fsck.env });
    await e2fsck.called();
    await home.fails(4, ['image', 'register', 'one', ...flags], { under: NAMESPACE });
    await home.fails(4, ['image', 'register', 'one', ...flags]);
    await home.ok(['image', 'register', 'two', ...flags], { under: NAMESPACE });
    await e2fsck.release();
    expect((await build.result).status).toBe(0);

    const doomed = home.start(buildArguments('three', '--run', 'echo standing; sleep 60'), {
      under: NAMESPACE,
    });
    await untilPrinted(home, 'standing');
    // The first of the namespace takes all others with it.
    const [first] = descendantsOf(doomed.pid);
    if (first === undefined) throw new Error('unshare runs nothing');
    process.kill(first.pid, 'SIGKILL');
    await doomed.result;
    const next = await home.run(['image', 'register', 'three', ...flags], { under: NAMESPACE });
    expect(next.status, next.stderr).toBe(0);
    expect(next.stderr).toContain("cleaning up after 'banger image build three', which was killed");
    expect(await namesOf(home)).toEqual(['base', 'one', 'three', 'two']);
    await home.verify();
    count({ command: 'all', torment: 'stops', tried: 6, lost: 0 });
  });
});
