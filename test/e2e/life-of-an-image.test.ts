import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { fakeBzImage, makeModules, makeRootfs } from '../support/images.ts';
import { startOnTerminal } from '../support/terminal.ts';

describe.each(testAccounts())('as $label', (account) => {
  test('an image is registered, promoted, listed, shown, renamed and deleted', async ({ makeHome }) => {
    const home = await makeHome(account);
    const rootfs = await makeRootfs(join(home.directory, 'little.ext4'), { owner: account });
    const kernel = await home.write('vmlinuz', fakeBzImage());
    const modules = await makeModules(home.directory);

    await home.ok([
      'image',
      'register',
      'little',
      '--rootfs',
      rootfs,
      '--kernel',
      kernel,
      '--modules',
      modules,
    ]);
    await home.verify();
    await home.ok(['image', 'promote', 'little']);
    await home.verify();
    const { document } = await home.json<{ name: string; managed: boolean; kernel_version: string }[]>([
      'image',
      'list',
    ]);
    expect(document).toMatchObject([
      { name: 'little', managed: true, kernel_version: '6.1.0-99-test-amd64' },
    ]);
    expect(await home.ok(['image', 'show', 'little'])).toContain('6.1.0-99-test-amd64');
    await home.ok(['image', 'rename', 'little', 'small']);
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('small\n');
    await home.ok(['image', 'delete', 'small', '--yes']);
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('');
    expect(existsSync(rootfs)).toBe(true);
  });

  test('deleting asks on a terminal, and Ctrl-C says no', async ({ makeHome }) => {
    const home = await makeHome(account);
    const rootfs = await makeRootfs(join(home.directory, 'little.ext4'), { owner: account });
    const kernel = await home.write('vmlinuz', fakeBzImage());
    await home.ok(['image', 'register', 'little', '--rootfs', rootfs, '--kernel', kernel]);

    const terminal = startOnTerminal(home, ['image', 'delete', 'little']);
    await terminal.until(/delete little\? \[y\/N\] /u);
    terminal.type('\x03');
    expect(await terminal.exited).toBe(130);
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('little\n');
  });
});
