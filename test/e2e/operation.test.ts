import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject } from 'vitest';
import { registerImage } from '../support/boot-files.ts';
import type { Home, RunningCli } from '../support/cli.ts';
import { type HeldTool, holdTool } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { sql } from '../support/registry.ts';

interface Operation {
  id: string;
  kind: string;
  state: string;
  alive: boolean | null;
  stage: string;
  error: string | null;
  events: { event: string }[];
}

/** A promote that stands in the middle of a copy until the tool is released. */
async function startPromote(
  home: Home,
  name: string,
): Promise<{ promote: RunningCli; cp: HeldTool; id: string }> {
  const cp = await holdTool(home, 'cp');
  const promote = home.start(['image', 'promote', name], { env: cp.env });
  await cp.called();
  const [row] = sql<{ id: string }>(home, "SELECT id FROM operations WHERE state = 'running'");
  return { promote, cp, id: row?.id ?? '' };
}

async function show(home: Home, id: string): Promise<Operation> {
  return (await home.json<Operation>(['operation', 'show', id])).document;
}

describe('an operation that runs', () => {
  const { user } = inject('testRun');

  test('keeps its image from others, even while it is stopped, and is seen by everybody', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    const { flags } = await registerImage(home, 'one');
    await registerImage(home, 'two');
    const { promote, cp, id } = await startPromote(home, 'one');
    promote.kill('SIGSTOP');

    const inUse = new RegExp(
      `^error: image one is in use by promote one \\(pid ${promote.pid} on \\S+, running for [\\d.]+s\\)\n` +
        `  → wait for it: banger operation show ${id.slice(0, 12)}\n` +
        `  → or stop it: banger operation cancel ${id.slice(0, 12)}\n$`,
      'u',
    );
    for (const args of [
      ['delete', 'two', 'one'],
      ['rename', 'one', 'three'],
      ['promote', 'one'],
      ['register', 'one', ...flags],
    ]) {
      expect(await home.fails(5, ['image', ...args]), args[0]).toMatch(inUse);
    }
    expect(await home.ok(['image', 'list'])).toMatch(/^one .* promote one$/mu);
    expect(await home.ok(['image', 'show', 'one'])).toContain(
      `in use by:      promote one (${id.slice(0, 12)})\n`,
    );
    expect(await home.ok(['operation', 'list', '--running'])).toMatch(
      new RegExp(
        `^ID .*\n${id.slice(0, 12)}  promote  one    running  copy_\\w+ .* pid ${promote.pid} on \\S+\n$`,
        'u',
      ),
    );
    expect(await show(home, id.slice(0, 6))).toMatchObject({
      id,
      kind: 'promote',
      state: 'running',
      alive: true,
    });

    promote.kill('SIGCONT');
    await cp.release();
    expect((await promote.result).status).toBe(0);
    expect(await show(home, id)).toMatchObject({ state: 'succeeded', alive: null, stage: 'persisted' });
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('one\ntwo\n');
  });

  test('is cancelled from elsewhere: it stops, cleans up and exits with 143', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const { promote, id } = await startPromote(home, 'one');
    expect(await home.ok(['operation', 'cancel', id.slice(0, 8)])).toBe('asked promote one to stop\n');
    const { status, stdout, stderr } = await promote.result;
    expect({ status, stdout }).toEqual({ status: 143, stdout: '' });
    expect(stderr).toMatch(/\nerror: cancelled by 'banger operation cancel [0-9a-f]{12}'\n$/u);
    expect(await readdir(join(home.stateDir, 'images'))).toEqual([]);
    const shown = await show(home, id);
    expect(shown).toMatchObject({ state: 'cancelled', alive: null });
    expect(shown.events.at(-1)).toMatchObject({ event: 'failed' });
    const over = await home.fails(5, ['operation', 'cancel', id]);
    expect(over).toBe(
      `error: promote one (${id.slice(0, 12)}) is over: cancelled\n  → banger operation show ${id.slice(0, 12)}\n`,
    );
    expect(await home.ok(['image', 'promote', 'one'])).toContain('promoted one');
  });

  test('that was killed is called dead, needs nothing any more, and is cleaned up by the next', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const { promote, id } = await startPromote(home, 'one');
    promote.kill('SIGKILL');
    expect((await promote.result).status).toBe(137);
    // Its end is the kernel's word, but the kernel needs a moment to let go of a lock.
    for (let tries = 0; (await show(home, id)).alive && tries < 20; tries += 1) await sleep(50);

    expect(await home.ok(['operation', 'list'])).toMatch(/^[0-9a-f]{12} +promote +one +dead /mu);
    expect(await home.ok(['operation', 'list', '--running', '--quiet'])).toBe('');
    expect(await home.ok(['image', 'list'])).toMatch(/^one .* -$/mu);
    expect(await home.fails(5, ['operation', 'cancel', id])).toContain('is dead');
    const { stdout, stderr } = await home.run(['image', 'rename', 'one', 'two']);
    expect(stdout).toBe('renamed one to two\n');
    expect(stderr).toBe("cleaning up after 'banger image promote one', which was killed\n");
    expect(await show(home, id)).toMatchObject({ state: 'interrupted', error: 'the run died' });
    expect(await readdir(join(home.stateDir, 'images'))).toEqual([]);
  });
});

describe('the journal', () => {
  const { user } = inject('testRun');

  test('lists what was done, newest first, and shows how', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    await home.ok(['image', 'promote', 'one']);
    await home.ok(['image', 'rename', 'one', 'two']);
    await home.ok(['image', 'delete', 'two']);
    const { document } = await home.json<Operation[]>(['operation', 'list']);
    expect(document.map(({ kind, state }) => [kind, state])).toEqual([
      ['delete', 'succeeded'],
      ['rename', 'succeeded'],
      ['promote', 'succeeded'],
      ['register', 'succeeded'],
    ]);
    const columns = sql<{ name: string }>(home, 'PRAGMA table_info(operations)').map(({ name }) => name);
    const shown = columns.filter((name) => name !== 'run_id' && name !== 'planned_image');
    expect(Object.keys(document[0] ?? {})).toEqual([...shown, 'alive']);
    expect((await home.ok(['operation', 'list', '--limit', '2'])).split('\n')).toHaveLength(4);
    const ids = await home.ok(['operation', 'list', '--quiet']);
    expect(ids).toBe(`${document.map(({ id }) => id).join('\n')}\n`);

    const promote = await home.ok(['operation', 'show', document[2]?.id ?? '']);
    expect(promote).toMatch(
      /^id: +[0-9a-f]{32}\nkind: +promote\nimage: +one \([0-9a-f]{12}\)\nstate: +succeeded\n/u,
    );
    expect(promote).toMatch(/^command: banger image promote one$/mu);
    expect([...promote.matchAll(/^\d{4}-\S+Z +(\w+ +\w+)$/gmu)].map(([, event]) => event)).toEqual([
      'copy_rootfs          started',
      'copy_rootfs          finished',
      'copy_boot_artifacts  started',
      'copy_boot_artifacts  finished',
      'activate_artifacts   started',
      'activate_artifacts   finished',
      'persisted            started',
      'persisted            finished',
    ]);
  });

  test('finds operations by the beginning of their ids', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    await registerImage(home, 'two');
    for (const name of ['one', 'two']) {
      const id = `abcd${name === 'one' ? '0' : '1'}`.padEnd(32, '0');
      sql(home, 'UPDATE operations SET id = ? WHERE image_name = ?', id, name);
    }
    expect(await home.ok(['operation', 'show', 'abcd1'])).toMatch(/^image: +two /mu);
    expect(await home.fails(2, ['operation', 'show', 'abcd'])).toContain(
      'error: abcd is the beginning of 2 operation ids\n',
    );
    expect(await home.fails(3, ['operation', 'show', 'abc'])).toBe(
      "error: no operation 'abc'\n  → banger operation list\n",
    );
    expect(await home.fails(3, ['operation', 'cancel', 'abc'])).toContain("no operation 'abc'");
  });
});
