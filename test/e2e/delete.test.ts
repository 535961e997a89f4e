import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { describe, expect, inject } from 'vitest';
import { registerImage } from '../support/boot-files.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { insertVm, removeVms, sql } from '../support/registry.ts';
import { startOnTerminal } from '../support/terminal.ts';

async function show<T>(home: Home, name: string): Promise<T> {
  return (await home.json<T>(['image', 'show', name])).document;
}

const names = (home: Home): Promise<string> => home.ok(['image', 'list', '--quiet']);

describe.each(testAccounts())('delete as $label', (account) => {
  test('takes a managed image with its files, and leaves those of a registered one', async ({ makeHome }) => {
    const home = await makeHome(account);
    const theirs = await registerImage(home, 'theirs');
    const source = await registerImage(home, 'ours');
    await home.ok(['image', 'promote', 'ours']);
    const { artifact_dir, id } = await show<{ artifact_dir: string; id: string }>(home, 'ours');

    // The same image twice is one image.
    const said = await home.ok(['image', 'delete', 'ours', id, 'theirs']);
    expect(said).toBe(`deleted ours\ndeleted theirs; its files stay: ${theirs.rootfs}\n`);
    expect(existsSync(artifact_dir)).toBe(false);
    for (const path of [theirs.rootfs, theirs.kernel, source.rootfs, source.kernel]) {
      expect(existsSync(path), path).toBe(true);
    }
    expect(await names(home)).toBe('');
    expect(sql(home, "SELECT state FROM operations WHERE kind = 'delete'")).toEqual([
      { state: 'succeeded' },
      { state: 'succeeded' },
    ]);
  });
});

describe('delete', () => {
  const { user } = inject('testRun');

  test('of several images takes all or none', async ({ makeHome }) => {
    const home = await makeHome(user);
    for (const name of ['one', 'two', 'three']) await registerImage(home, name);
    await home.ok(['image', 'promote', 'one']);
    const all = ['image', 'delete', 'one', 'two', 'three', '--yes'];

    expect(await home.fails(3, [...all, 'thre'])).toContain("no image 'thre'\n  → did you mean three?");
    insertVm(home, 'web', 'two');
    insertVm(home, 'db', 'two');
    const said = await home.fails(5, all);
    expect(said).toMatch(/^error: image two is in use by VMs db, web\n/u);
    const { document } = await home.json<{ error: unknown }>(all);
    expect(document.error).toMatchObject({ code: 'conflict', exit_code: 5, vms: ['db', 'web'] });
    expect(await home.ok(['image', 'list', '--filter', 'in_use=yes', '--quiet'])).toBe('two\n');

    removeVms(home);
    sql(home, "UPDATE images SET protected = 1 WHERE name = 'three'");
    expect(await home.fails(5, all)).toMatch(/^error: image three is protected\n/u);
    expect(await names(home)).toBe('one\nthree\ntwo\n');
    expect(existsSync((await show<{ rootfs_path: string }>(home, 'one')).rootfs_path)).toBe(true);
    sql(home, 'UPDATE images SET protected = 0');
    await home.ok(all);
    expect(await names(home)).toBe('');
  });

  test('works when files, or the directory, are gone, and so do list and show', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { rootfs } = await registerImage(home, 'theirs');
    for (const name of ['half', 'gone']) {
      await registerImage(home, name);
      await home.ok(['image', 'promote', name]);
    }
    await rm(rootfs);
    await rm((await show<{ kernel_path: string }>(home, 'half')).kernel_path);
    await rm((await show<{ artifact_dir: string }>(home, 'gone')).artifact_dir, { recursive: true });

    const table = await home.ok(['image', 'list']);
    expect(table).toMatch(/^gone .* missing +missing /mu);
    expect(table).toMatch(/^theirs .* missing +missing /mu);
    const { document } = await home.json<Record<string, unknown>[]>(['image', 'list']);
    expect(document.map(({ name, allocated_bytes }) => [name, allocated_bytes === null])).toEqual([
      ['gone', true],
      ['half', false],
      ['theirs', true],
    ]);
    expect(await home.ok(['image', 'show', 'theirs'])).toContain(`rootfs:         ${rootfs} (missing)\n`);
    expect(await home.ok(['image', 'show', 'half'])).toMatch(/^kernel: .*\/kernel \(missing\)$/mu);
    await home.ok(['image', 'delete', 'gone', 'half', 'theirs', '--purge']);
    expect(await names(home)).toBe('');
  });

  test('asks on a terminal, once for all, and no changes nothing', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    await registerImage(home, 'two');
    const ask = async (answer: string): Promise<{ status: number; output: string }> => {
      const terminal = startOnTerminal(home, ['image', 'delete', 'one', 'two']);
      await terminal.until(/delete one, two\? \[y\/N\] /u);
      terminal.type(answer);
      return { status: await terminal.exited, output: terminal.output() };
    };
    for (const answer of ['n\r', '\r', 'yess\r', '\x04', '\x03']) {
      const { status, output } = await ask(answer);
      expect(status, JSON.stringify(answer)).toBe(130);
      expect(output).toMatch(/\r\n.*error:.* nothing was changed\r\n$/u);
    }
    expect(await names(home)).toBe('one\ntwo\n');
    expect((await ask('y\r')).status).toBe(0);
    expect(await names(home)).toBe('');
  });

  test('asks nothing where there is nothing to delete, with --yes, or without a terminal', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const wrong = startOnTerminal(home, ['image', 'delete', 'oen']);
    expect(await wrong.exited).toBe(3);
    const sure = startOnTerminal(home, ['image', 'delete', 'one', '-y']);
    expect(await sure.exited).toBe(0);
    expect(sure.output()).toMatch(/^deleted one; its files stay: \S+\r\n$/u);
    await registerImage(home, 'two');
    await home.ok(['image', 'delete', 'two'], { input: 'n\n' });
    expect(await names(home)).toBe('');
  });

  test('leaves nothing of a managed image whose directory others have written to', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    await home.ok(['image', 'promote', 'one']);
    const { artifact_dir } = await show<{ artifact_dir: string }>(home, 'one');
    await home.write(`${artifact_dir.slice(home.directory.length)}/more/file`, 'x');
    await home.ok(['image', 'delete', 'one']);
    await expect(rmdir(artifact_dir)).rejects.toThrow('ENOENT');
  });
});
