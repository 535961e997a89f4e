import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
import { type Box, test } from '../../support/box.ts';
import { testAccounts } from '../../support/cli.ts';

interface Process {
  pid: number;
  parent: number;
  command: string;
}

function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/u.test(name))
    .flatMap((name) => {
      try {
        // Zombies and the dead are left out.
        const [, command, parent] =
          /^\d+ \((.*)\) [^ZX] (\d+)/su.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
        if (command === undefined) return [];
        return [{ pid: Number(name), parent: Number(parent), command }];
      } catch {
        return [];
      }
    });
}

/** What a box has started, itself left out. */
function descendants(root: number): Process[] {
  const all = processes();
  const found: Process[] = [];
  for (let parents = [root]; parents.length > 0; ) {
    const children = all.filter(({ parent }) => parents.includes(parent));
    found.push(...children);
    parents = children.map(({ pid }) => pid);
  }
  return found;
}

/** A process of the box by its name; the n-th of that name from the top. */
async function find(box: Box, command: string, position = 0): Promise<number> {
  const deadline = performance.now() + 5000;
  for (;;) {
    const found = descendants(box.pid).filter((one) => one.command === command)[position];
    if (found !== undefined) return found.pid;
    if (performance.now() > deadline) {
      throw new Error(`no ${command} among ${descendants(box.pid).map((one) => one.command)}`);
    }
    await sleep(10);
  }
}

const STEP = 'echo begun >/etc/begun; while :; do sleep 1; done';

/** Starts a step that does not end; `outcome` is its status, or why there is none. */
async function beginStep(box: Box): Promise<{ outcome: Promise<number | string> }> {
  const outcome = box.sh(STEP).then(
    ({ exitCode }) => exitCode,
    (error: Error) => error.message,
  );
  await find(box, 'sleep');
  return { outcome };
}

describe.each(testAccounts())('kill -9 in a sandbox of $label', (account) => {
  const daemon = account.uid === 0 ? [] : [['fuse2fs', 0] as const];

  test('of what a step consists of: the step fails, the sandbox goes on', async ({ openBox }) => {
    const box = await openBox(account);
    for (const [command, position] of [
      ['nsenter', 0],
      ['bash', 0],
      ['bwrap', 0],
      ['bwrap', 1],
      ['sh', account.uid === 0 ? 1 : 2],
    ] as const) {
      const { outcome } = await beginStep(box);
      process.kill(await find(box, command, position), 'SIGKILL');
      expect({ command, position, status: await outcome }).toMatchObject({ status: expect.any(Number) });
      expect(await outcome).not.toBe(0);
      await expect.poll(() => descendants(box.pid).map((one) => one.command)).not.toContain('sleep');
      expect(await box.ok('cat /etc/begun')).toBe('begun\n');
    }
    await box.close();
    expect((await run('e2fsck', ['-fn', box.image])).exitCode).toBe(0);
    expect(await box.settled()).toEqual([]);
  });

  test.for([['unshare', 0] as const, ['sh', 0] as const, ...daemon])(
    'of %s %i, which holds it: an error, and nothing is left',
    async ([command, position], { openBox }) => {
      const box = await openBox(account);
      const { outcome } = await beginStep(box);
      process.kill(await find(box, command, position), 'SIGKILL');
      expect(await outcome).toMatch(/unmounted under it|no such|closed/u);
      await expect(box.sh('true')).rejects.toMatchObject({ code: 'tool_failed' });
      await expect(box.close()).rejects.toMatchObject({ code: 'tool_failed' });
      await box.abandon();
      expect(await box.settled()).toEqual([]);
    },
  );

  test.for(daemon)('of %s, heard of late: it is told for what it is', async ([command], { openBox }) => {
    const box = await openBox(account);
    const { outcome } = await beginStep(box);
    const messenger = await find(box, 'sh', 1);
    process.kill(messenger, 'SIGSTOP');
    process.kill(await find(box, command), 'SIGKILL');
    process.kill(await find(box, 'sh', 2), 'SIGKILL');
    await sleep(1000);
    process.kill(messenger, 'SIGCONT');
    expect(await outcome).toMatch(/unmounted under it/u);
    await box.abandon();
    expect(await box.settled()).toEqual([]);
  });

  test('of the program itself: nothing is left', async ({ openBox }) => {
    const box = await openBox(account);
    await beginStep(box);
    box.kill('SIGKILL');
    expect(await box.settled()).toEqual([]);
  });

  test('of the program as it begins: nothing is left, whenever it was', async ({ openBox }) => {
    for (const delay of [60, 110, 160, 210]) {
      const opening = openBox(account).catch((error: Error) => error);
      await sleep(delay);
      // The box is not ours yet: it is found as the newest node of this process.
      const node = processes().filter(
        ({ parent, command }) => parent === process.pid && /^(node|MainThread)$/u.test(command),
      );
      for (const { pid } of node) process.kill(pid, 'SIGKILL');
      await opening;
    }
  });
});
