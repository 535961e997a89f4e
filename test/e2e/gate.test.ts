import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { bootstrapBootable } from '../support/bootable.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';

/** Emulated, on a machine that has other tests to run. */
const BOOT_MS = 90_000;
// Whether this machine's KVM works or hangs its guests nobody knows.
const BOOT = ['--verify=boot', '--accel', 'tcg'];
const NO_INIT = ['--run', 'rm /sbin/init /bin/sh'];
const DYING_INIT = [
  '--run',
  'rm /sbin/init; printf "#!/bin/sh\\nexit 1\\n" >/sbin/init; chmod 755 /sbin/init',
];

interface Failed {
  error: { message: string; log_path: string };
}

interface Bisected {
  last_good: number | null;
  first_bad: number | null;
  tried: { generation: number; passed: boolean }[];
}

const build = (home: Home, name: string, ...more: string[]) =>
  home.json<Failed & { id: string }>(['image', 'build', name, '--from-image', 'base', ...more], {
    timeoutMs: 2 * BOOT_MS,
  });

describe.each(testAccounts())('as $label', (account) => {
  test('a build that does not pass publishes nothing: the name stays what it was', {
    timeout: 6 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'base');
    const first = await build(home, 'web', ...BOOT, '--run', 'echo 1 >/n', '--check', 'test "$(cat /n)" = 1');
    expect(first.status).toBe(0);
    const { id } = first.document;

    const unfit = await build(home, 'web', '--replace', '--verify', ...NO_INIT);
    expect([unfit.status, unfit.document.error.message]).toEqual([
      10,
      expect.stringMatching(/^image web does not pass:\n {2}- init: there is no/u),
    ]);
    const dead = await build(home, 'web', '--replace', ...BOOT, ...DYING_INIT);
    expect([dead.status, dead.document.error.message]).toEqual([
      10,
      expect.stringContaining('its init did not come up (the guest ended)'),
    ]);
    expect(await readFile(dead.document.error.log_path, 'utf8')).toContain('Kernel panic');
    const unchecked = await build(home, 'web', '--replace', ...BOOT, '--check', 'test -e /missing');
    expect(unchecked.status).toBe(10);
    const { document } = await home.json<{ id: string; generation: number }>(['image', 'show', 'web']);
    expect(document).toMatchObject({ id, generation: 1 });
    // What passed is compared with from now on.
    await build(home, 'web', '--replace');
    const again = await home.ok(['image', 'verify', 'web', '--boot', '--accel', 'tcg']);
    expect(again).toMatch(/^generation 1 /mu);
  });

  test('a promote that does not pass leaves the image where it was', {
    timeout: 4 * BOOT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs_path, kernel_path, initrd_path } = await bootstrapBootable(home, 'base');
    const files = ['--rootfs', rootfs_path, '--kernel', kernel_path, '--initrd', initrd_path ?? ''];
    await home.ok(['image', 'register', 'mine', ...files]);
    const failed = await home.json<Failed>(['image', 'promote', 'mine', ...BOOT, '--check', 'exit 5']);
    expect([failed.status, failed.document.error.message]).toEqual([
      10,
      expect.stringContaining('ended with status 5'),
    ]);
    expect(await readFile(failed.document.error.log_path, 'utf8')).toContain('BusyBox');
    const { document } = await home.json<{ id: string; managed: boolean }>(['image', 'show', 'mine']);
    expect(document.managed).toBe(false);
    expect(existsSync(`${home.stateDir}/images/${document.id}`)).toBe(false);
    await home.ok(['image', 'promote', 'mine', ...BOOT, '--check', 'id']);
    const promoted = await home.json<{ managed: boolean }>(['image', 'show', 'mine']);
    expect(promoted.document.managed).toBe(true);
  });

  test('flags that make no sense together are refused', async ({ makeHome }) => {
    const home = await makeHome(account);
    const words = ['image', 'build', 'web', '--from-image', 'base'];
    expect(await home.fails(2, [...words, '--check', 'true'])).toContain('--verify=boot');
    expect(await home.fails(2, [...words, '--verify', '--check', 'true'])).toContain('--verify=boot');
    expect(await home.fails(2, [...words, '--verify=perhaps'])).toContain('static, boot');
    expect(await home.fails(2, [...words, ...BOOT, '--timeout', 'soon'])).toContain('span of time');
  });
});

test.for(testAccounts().slice(-1))(
  'the generation that broke a check is found by halving',
  {
    timeout: 8 * BOOT_MS,
  },
  async (account, { makeHome }) => {
    const home = await makeHome(account);
    await bootstrapBootable(home, 'base');
    for (const number of [1, 2, 3, 4, 5]) {
      await build(home, 'web', '--run', `echo ${number} >/n`, ...(number > 1 ? ['--replace'] : []));
    }
    const bisect = (check: string) =>
      home.json<Bisected>(['image', 'bisect', 'web', '--accel', 'tcg', '--check', check], {
        timeoutMs: 5 * BOOT_MS,
      });
    const found = await bisect('test "$(cat /n)" -lt 4');
    expect([found.status, found.document]).toMatchObject([0, { last_good: 3, first_bad: 4 }]);
    expect(found.document.tried.map(({ generation }) => generation)).toEqual([5, 1, 3, 4]);
    expect((await bisect('true')).document).toMatchObject({ first_bad: null, tried: [{ passed: true }] });
    expect((await bisect('false')).document).toMatchObject({ last_good: null, first_bad: 1 });
    await home.fails(3, ['image', 'bisect', 'none', '--check', 'true']);
  },
);
