import { existsSync } from 'node:fs';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { registerImage } from '../support/boot-files.ts';
import type { Home } from '../support/cli.ts';
import { holdTool, replaceTool, withTools } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { sql } from '../support/registry.ts';
import { startOnTerminal } from '../support/terminal.ts';

const PROMOTE = ['image', 'promote', 'one'];

/** The stage directory is gone, the image is as it was, and the journal says why. */
async function expectUndone(home: Home, state = 'cancelled'): Promise<void> {
  expect(await readdir(join(home.stateDir, 'images'))).toEqual([]);
  expect(sql(home, 'SELECT managed FROM images')).toEqual([{ managed: 0 }]);
  expect(sql(home, "SELECT state FROM operations WHERE kind = 'promote'")).toEqual([{ state }]);
}

async function untilGone(pid: number): Promise<void> {
  for (let tries = 0; existsSync(`/proc/${pid}/exe`); tries += 1) {
    if (tries > 1000) throw new Error(`process ${pid} is still there`);
    // Not longer: it may be done by then.
    await sleep(3);
  }
}

describe('a signal', () => {
  const { user } = inject('testRun');

  test.for([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s cancels, cleans up and exits with %i', async ([signal, status], { makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const cp = await holdTool(home, 'cp');
    const promote = home.start(PROMOTE, { env: cp.env });
    await cp.called();
    promote.kill(signal);
    const result = await promote.result;
    expect(result).toMatchObject({ status, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`\nerror: cancelled by ${signal}\n$`, 'u'));
    await expectUndone(home);
  });

  test('is what the exit code tells, whatever a child returned', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const called = join(home.directory, 'called');
    await replaceTool(home, 'cp', `trap 'exit 0' TERM; : >${called}; while :; do sleep 0.02; done`);
    const promote = home.start([...PROMOTE, '--json'], { env: withTools(home) });
    while (!existsSync(called)) await sleep(10);
    promote.kill('SIGTERM');
    const { status, stdout } = await promote.result;
    expect(status).toBe(143);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'cancelled', exit_code: 143, message: 'cancelled by SIGTERM', signal: 'SIGTERM' },
    });
    await expectUndone(home);
  });

  test('that comes twice at once, as from timeout(1), is one', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const cp = await holdTool(home, 'cp');
    const promote = home.start(PROMOTE, { env: cp.env });
    await cp.called();
    promote.kill('SIGTERM');
    // Not longer: it may be done by then.
    await sleep(3);
    promote.kill('SIGTERM');
    expect((await promote.result).status).toBe(143);
    await expectUndone(home);
  });

  test('and another later leaves at once, and the next command cleans up', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const cp = await holdTool(home, 'cp', { stubborn: true });
    const promote = home.start(PROMOTE, { env: cp.env });
    await cp.called();
    promote.kill('SIGINT');
    await sleep(700);
    const before = performance.now();
    promote.kill('SIGINT');
    expect((await promote.result).status).toBe(130);
    // The tool does not listen to SIGTERM; killing it would have taken three seconds.
    expect(performance.now() - before).toBeLessThan(1500);
    expect(await readdir(join(home.stateDir, 'images'))).toHaveLength(1);
    expect((await home.run(['image', 'rename', 'one', 'two'])).stderr).toContain('which was killed');
    await expectUndone(home, 'interrupted');
  });

  test('ends a wait for the lock', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const cp = await holdTool(home, 'cp');
    const promote = home.start(PROMOTE, { env: cp.env });
    await cp.called();
    sql(home, "UPDATE lock SET run_id = (SELECT id FROM runs), acquired_at = '2026-01-01T00:00:00.000Z'");
    const terminal = startOnTerminal(home, ['image', 'rename', 'one', 'two']);
    await terminal.until(/waiting for the lock: 'banger image promote one' has it \(pid \d+ on \S+, for /u);
    terminal.type('\x03');
    expect(await terminal.exited).toBe(130);
    sql(home, 'UPDATE lock SET run_id = NULL');
    promote.kill('SIGTERM');
    await promote.result;
  });

  test('cleans up where there is no ps', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const cp = await holdTool(home, 'cp');
    const only = join(home.directory, 'only');
    await mkdir(only);
    for (const tool of ['sh', 'setpriv', 'sleep', 'touch']) {
      await symlink((await run('which', [tool])).stdout.trim(), join(only, tool));
    }
    await symlink(join(home.directory, 'tools/cp'), join(only, 'cp'));
    const promote = home.start(PROMOTE, { env: { PATH: only } });
    await cp.called();
    promote.kill('SIGINT');
    expect((await promote.result).status).toBe(130);
    await expectUndone(home);
  });
});

describe('on a terminal', () => {
  const { user } = inject('testRun');

  test('Ctrl-C cancels', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const cp = await holdTool(home, 'cp');
    const terminal = startOnTerminal(home, PROMOTE, { env: cp.env });
    await cp.called();
    terminal.type('\x03');
    expect(await terminal.exited).toBe(130);
    expect(terminal.output()).toMatch(/error:.* cancelled by SIGINT\r\n/u);
    // The cursor is there again.
    expect(terminal.output().lastIndexOf('\x1b[?25h')).toBeGreaterThan(
      terminal.output().lastIndexOf('\x1b[?25l'),
    );
    await expectUndone(home);
  });

  test('that is closed the run ends and cleans up', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const cp = await holdTool(home, 'cp');
    const terminal = startOnTerminal(home, PROMOTE, { env: cp.env });
    await cp.called();
    terminal.hangUp();
    await untilGone(terminal.pid);
    await expectUndone(home);
  });
});
