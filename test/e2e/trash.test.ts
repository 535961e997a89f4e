import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { registerImage } from '../support/boot-files.ts';
import { type BuiltImage, makeBase } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { sql } from '../support/registry.ts';
import { hashOf } from '../support/source.ts';
import { startOnTerminal } from '../support/terminal.ts';

const { user } = inject('testRun');

interface Trashed {
  id: string;
  name: string;
  path: string;
  deleted_at: string;
  expires_at: string;
}

/** A managed image. */
async function make(home: Home, name: string): Promise<BuiltImage> {
  await registerImage(home, name);
  await home.ok(['image', 'promote', name]);
  return (await home.json<BuiltImage>(['image', 'show', name])).document;
}

async function trash(home: Home): Promise<Trashed[]> {
  return (await home.json<Trashed[]>(['trash', 'list'])).document;
}

function age(home: Home, name: string, days: number): void {
  const at = new Date(Date.now() - days * 86_400_000).toISOString();
  sql(home, 'UPDATE trash SET deleted_at = ? WHERE name = ?', at, name);
}

describe.each(testAccounts())('as $label', (account) => {
  test('a deleted image comes back as it was', async ({ makeHome }) => {
    const home = await makeHome(account);
    const image = await make(home, 'web');
    const content = await hashOf(image.rootfs_path);
    expect(await home.ok(['image', 'delete', 'web', '--yes'])).toBe('deleted web\n');
    expect(existsSync(image.artifact_dir)).toBe(false);
    const [deleted] = await trash(home);
    expect(deleted).toMatchObject({ id: image.id, name: 'web' });
    expect(await home.ok(['trash', 'list'])).toMatch(
      /^NAME +ID +DELETED +KEPT FOR\nweb +[0-9a-f]{12} +just now +7 days\n$/u,
    );

    const back = await home.ok(['trash', 'restore', 'web']);
    expect(back).toBe(`web (${image.id.slice(0, 12)}) is back: ${image.artifact_dir}\n`);
    const { document } = await home.json<BuiltImage & { updated_at: string }>(['image', 'show', 'web']);
    expect({ ...document, updated_at: '' }).toEqual({ ...image, updated_at: '' });
    expect(await hashOf(document.rootfs_path)).toBe(content);
    expect(await trash(home)).toEqual([]);
  });
});

describe('the trash', () => {
  test('gives back what was deleted last, by name; any by id, under another name where it is taken', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    const first = await make(home, 'web');
    await home.ok(['image', 'delete', 'web', '--yes']);
    const second = await make(home, 'web');
    await home.ok(['image', 'delete', 'web', '--yes']);
    expect((await trash(home)).map(({ id }) => id)).toEqual([second.id, first.id]);
    await home.ok(['trash', 'restore', 'web']);
    expect(await home.fails(4, ['trash', 'restore', first.id])).toContain(
      'an image named web exists already',
    );
    const { document } = await home.json<BuiltImage>([
      'trash',
      'restore',
      first.id.slice(0, 8),
      '--name',
      'old',
    ]);
    expect(document).toMatchObject({ id: first.id, name: 'old', managed: true });
    expect(await home.fails(3, ['trash', 'restore', 'wep'])).toContain("no image 'wep' in the trash");
    expect(await home.fails(2, ['trash', 'restore', 'web', '--name', 'Web'])).toContain(
      "'Web' is not a valid image name",
    );
  });

  test('takes nothing that is purged, and no files of a registered image', async ({ makeHome }) => {
    const home = await makeHome(user);
    const purged = await make(home, 'purged');
    const theirs = await registerImage(home, 'theirs');
    await home.ok(['image', 'delete', 'purged', 'theirs', '--yes', '--purge']);
    expect(existsSync(purged.artifact_dir)).toBe(false);
    expect(existsSync(theirs.rootfs)).toBe(true);
    await registerImage(home, 'theirs');
    await home.ok(['image', 'delete', 'theirs', '--yes']);
    expect(await trash(home)).toEqual([]);
    await home.write('.config/banger/config.toml', 'trash_days = 0\n');
    await make(home, 'gone');
    await home.ok(['image', 'delete', 'gone', '--yes']);
    expect(await trash(home)).toEqual([]);
    await home.write('.config/banger/config.toml', 'trash_days = -1\n');
    expect(await home.fails(6, ['image', 'list'])).toContain(
      "'trash_days' must be a whole number from 0 to 3650",
    );
  });

  test('is emptied by hand, or by the next command that takes the lock after its time', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    for (const name of ['one', 'two', 'three']) await make(home, name);
    await home.ok(['image', 'delete', 'one', 'two', 'three', '--yes']);
    age(home, 'one', 3);
    const paths = new Map((await trash(home)).map(({ name, path }) => [name, path]));
    const emptied = await home.ok(['trash', 'empty', '--older-than', '2d']);
    expect(emptied).toMatch(/^removed one \([0-9a-f]{12}\)\n[\d.]+ [KM]iB in all\n$/u);
    expect(existsSync(paths.get('one') ?? '')).toBe(false);

    age(home, 'two', 6.9);
    age(home, 'three', 7.1);
    // One that only looks changes nothing.
    await home.ok(['image', 'list']);
    expect((await trash(home)).length).toBe(2);
    await registerImage(home, 'other');
    expect((await trash(home)).map(({ name }) => name)).toEqual(['two']);
    expect(existsSync(paths.get('three') ?? '')).toBe(false);
    const { document } = await home.json<{ images: { name: string }[]; freed_bytes: number }>([
      'trash',
      'empty',
    ]);
    expect(document.images.map(({ name }) => name)).toEqual(['two']);
    expect(document.freed_bytes).toBeGreaterThan(0);
    expect(await home.ok(['trash', 'empty'])).toBe('the trash is empty\n');
  });

  test('asks on a terminal before it is emptied', async ({ makeHome }) => {
    const home = await makeHome(user);
    await make(home, 'web');
    await home.ok(['image', 'delete', 'web', '--yes']);
    const terminal = startOnTerminal(home, ['trash', 'empty']);
    await terminal.until(/remove them for good\?/u);
    terminal.type('n\r');
    expect(await terminal.exited).toBe(130);
    expect((await trash(home)).length).toBe(1);
  });

  test('of earlier generations is what a prune leaves', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeBase(home);
    const build = ['image', 'build', 'web', '--from-image', 'base', '--no-ssh', '--replace'];
    for (let count = 0; count < 2; count += 1) await home.ok(build);
    await home.ok(['image', 'prune', '--keep', '0']);
    expect((await trash(home)).map(({ name }) => name)).toEqual(['web@1']);
    await home.ok(['trash', 'restore', 'web@1']);
    await home.ok(['image', 'rollback', 'web']);
    await home.ok(['image', 'prune', '--keep', '0', '--purge']);
    expect(await trash(home)).toEqual([]);
    expect(await home.ok(['image', 'list', '-q', '--all'])).toBe('base\nweb\n');
  });

  test('is checked, too', async ({ makeHome }) => {
    const home = await makeHome(user);
    await make(home, 'kept');
    await make(home, 'lost');
    await home.ok(['image', 'delete', 'kept', 'lost', '--yes']);
    expect(await home.ok(['check'])).toContain('0 images');
    const lost = (await trash(home)).find(({ name }) => name === 'lost');
    await rm(lost?.path ?? '', { recursive: true });
    await home.write('stray', '');
    await rename(join(home.directory, 'stray'), join(home.stateDir, 'images/.trash/stray'));
    const found = await home.json<{ error: { findings: { problem: string }[] } }>(['check']);
    expect(found.status).toBe(11);
    await home.ok(['check', '--repair']);
    expect(existsSync(join(home.stateDir, 'lost+found/stray'))).toBe(true);
    expect((await trash(home)).map(({ name }) => name)).toEqual(['kept']);
  });

  test.for([
    ['rename', 2],
    ['fsync', 6],
  ] as const)(
    'a restore or a delete killed at its %s, of which there are %d, is done or undone',
    async ([call, count], { makeHome }) => {
      const home = await makeHome(user);
      const image = await make(home, 'web');
      const strace = ['strace', '-f', '-o', '/dev/null', '-e', `trace=${call}`];
      for (let when = 1; when <= count; when += 1) {
        const under = [...strace, '-e', `inject=${call}:signal=KILL:when=${when}`];
        await home.run(['image', 'delete', 'web', '--yes'], { under });
        await registerImage(home, `next-${call}-${when}`);
        await home.verify();
        if ((await trash(home)).length > 0) {
          await home.run(['trash', 'restore', 'web'], { under });
          await registerImage(home, `after-${call}-${when}`);
          await home.verify();
        }
        if ((await trash(home)).length > 0) await home.ok(['trash', 'restore', 'web']);
        const { document } = await home.json<BuiltImage>(['image', 'show', 'web']);
        expect(document.id).toBe(image.id);
      }
    },
  );
});
