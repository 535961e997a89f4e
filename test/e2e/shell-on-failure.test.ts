import { describe, expect } from 'vitest';
import { bootstrapBootable } from '../support/bootable.ts';
import { buildArguments, type Failure, makeBase } from '../support/builds.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { startOnTerminal } from '../support/terminal.ts';

const STEPS = ['--env', 'WHERE=here', '--run', 'echo broken >/state; exit 3', '--shell-on-failure'];

describe.each(testAccounts())('as $label', (account) => {
  test('a step that failed leaves its user in the image as it is then', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const terminal = startOnTerminal(home, buildArguments('looked-at', ...STEPS));
    await terminal.until(/failed with status 3[\s\S]*leave the shell to go on: exit[\s\S]*# /u);
    terminal.type('cat /state; echo "$WHERE-$((6*7))"\r');
    await terminal.until(/broken\r?\nhere-42/u);
    terminal.type('echo mended >/state; exit\r');
    expect(await terminal.exited).toBe(8);
    expect(terminal.text()).toMatch(
      /error: step 1\/1: run echo broken >\/state; exit 3: failed with status 3/u,
    );
    await home.verify();
    await home.fails(3, ['image', 'show', 'looked-at']);
  });

  test('in a virtual machine, too', { timeout: 180_000 }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'base');
    const terminal = startOnTerminal(
      home,
      buildArguments('looked-at', '--builder', 'vm', '--accel', 'tcg', '--network', 'none', ...STEPS),
    );
    await terminal.until(/leave the shell to go on: exit[\s\S]*# /u, 90_000);
    terminal.type('cat /state; echo "$WHERE-$((6*7))"\r');
    await terminal.until(/broken[\r\n]+here-42/u);
    terminal.type('exit\r');
    expect(await terminal.exited).toBe(8);
    await home.verify();
  });

  test('without a terminal it fails as ever', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const { status, document } = await home.json<Failure>(buildArguments('unseen', ...STEPS));
    expect([status, document.error.status]).toEqual([8, 3]);
  });
});
