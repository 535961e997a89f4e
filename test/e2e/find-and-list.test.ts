import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { makeDisk, registerImage } from '../support/boot-files.ts';
import { test } from '../support/fixtures.ts';
import { insertVm, sql } from '../support/registry.ts';

describe('finding an image', () => {
  test('goes by name and by the beginning of its id', async ({ makeHome }) => {
    const home = await makeHome(inject('testRun').user);
    for (const [name, digit] of [
      ['alpha', '0'],
      ['beta', '1'],
    ]) {
      await registerImage(home, name ?? '');
      sql(home, 'UPDATE images SET id = ? WHERE name = ?', `abcd${digit?.repeat(28)}`, name);
    }
    expect(await home.ok(['image', 'show', 'abcd0'])).toMatch(/^name: +alpha$/mu);
    expect(await home.fails(2, ['image', 'show', 'abcd'])).toBe(
      'error: abcd is the beginning of 2 image ids\n  → abcd00000000  alpha\n  → abcd11111111  beta\n',
    );
    expect(await home.fails(3, ['image', 'show', 'alhpa'])).toBe(
      "error: no image 'alhpa'\n  → did you mean alpha?\n  → banger image list\n",
    );
  });
});

describe('list', () => {
  const { user } = inject('testRun');

  test('of nothing is empty, and makes nothing', async ({ makeHome }) => {
    const home = await makeHome(user);
    expect(await home.ok(['image', 'list'])).toMatch(/^NAME +ID +MANAGED [^\n]+\n$/u);
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('');
    expect((await home.json(['image', 'list'])).document).toEqual([]);
    expect((await home.json(['operation', 'list'])).document).toEqual([]);
    await home.fails(3, ['image', 'show', 'one']);
    await home.fails(3, ['operation', 'show', 'abcd']);
    await home.fails(3, ['operation', 'cancel', 'abcd']);
    expect(existsSync(join(home.directory, '.local'))).toBe(false);
    expect(existsSync(join(home.directory, '.config'))).toBe(false);
    expect(existsSync(join(home.directory, '.cache'))).toBe(false);
  });

  test('shows a line an image, as people read it', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeDisk(home, 'one.work-seed.ext4');
    await registerImage(home, 'one', ['--docker']);
    await registerImage(home, 'zwei');
    await home.ok(['image', 'promote', 'zwei']);
    insertVm(home, 'web', 'zwei');
    insertVm(home, 'db', 'zwei');
    sql(
      home,
      "UPDATE images SET created_at = '2020-01-01T00:00:00.000Z', packages_preset = 'debian', kernel_version = NULL WHERE name = 'zwei'",
    );
    const table = (await home.ok(['image', 'list']))
      .replace(/\b[0-9a-f]{12}\b/gu, 'ID..........')
      .replace(/[\d.]+ [KM]iB {1,4}(?=\d+ MiB)/gu, (size) => 'SIZE'.padEnd(size.length));
    expect(table.replace(/\d+ years ago/u, 'N years ago')).toBe(
      `NAME  ID            MANAGED  SIZE     VIRTUAL  KERNEL               PACKAGES  CREATED      IN USE BY
one   ID..........  no       SIZE     16 MiB   6.1.0-99-test-amd64  docker    just now     -
zwei  ID..........  yes      SIZE     8 MiB    -                    debian    N years ago  vm db, vm web
`,
    );
  });

  test('gives JSON that bears the names and types of the columns', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeDisk(home, 'one.work-seed.ext4');
    await registerImage(home, 'one', ['--docker']);
    await home.ok(['image', 'promote', 'one']);
    insertVm(home, 'web', 'one');
    const columns = sql<{ name: string; type: string; notnull: number }>(home, 'PRAGMA table_info(images)');
    const { document: list } = await home.json<Record<string, unknown>[]>(['image', 'list']);
    const { document: shown } = await home.json<Record<string, unknown>>(['image', 'show', 'one']);
    const own = columns.map(({ name }) => name);
    expect(Object.keys(list[0] ?? {})).toEqual([...own, 'allocated_bytes', 'virtual_bytes', 'in_use_by']);
    expect(Object.keys(shown)).toEqual([
      ...own,
      ...['sizes', 'base_image_exists', 'vms', 'operations', 'tree_digest', 'tree_digest_epoch'],
    ]);
    const BITS = ['managed', 'docker', 'protected'];
    for (const { name, type, notnull } of columns) {
      const ofType = type === 'INTEGER' ? 'number' : 'string';
      const wanted = BITS.includes(name) ? 'boolean' : name === 'labels' ? 'object' : ofType;
      for (const value of [shown[name], list[0]?.[name]]) {
        if (value !== null || notnull) expect(typeof value, name).toBe(wanted);
      }
    }
    expect(list).toMatchObject([{ managed: true, docker: true, protected: false, in_use_by: ['vm web'] }]);
    expect(list).toMatchObject([{ allocated_bytes: expect.any(Number), virtual_bytes: 16 * 1024 * 1024 }]);
    expect(shown).toMatchObject({ vms: ['web'], operations: [], base_image_exists: false });
    expect(shown.sizes).toMatchObject({
      rootfs: { virtual: 8 * 1024 * 1024, allocated: expect.any(Number) },
    });
    expect(shown.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/u);
  });

  test('filters and sorts', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one', ['--docker']);
    await registerImage(home, 'two');
    await registerImage(home, 'zwei');
    const flags = ['--filter', 'docker=no', '--filter', 'name=*w*', '--sort', '-name'];
    expect(await home.ok(['image', 'list', '--quiet', ...flags])).toBe('zwei\ntwo\n');
    expect(await home.fails(2, ['image', 'list', '--filter', 'kernal=6'])).toBe(
      "error: 'kernal=6' is not a filter\n  → did you mean kernel?\n" +
        '  → known: name, id, managed, docker, packages, kernel, base, in_use; for example managed=true\n',
    );
  });
});

test('show tells all that is known', async ({ makeHome }) => {
  const home = await makeHome(inject('testRun').user);
  await makeDisk(home, 'one.work-seed.ext4');
  const { rootfs, kernel, modules } = await registerImage(home, 'one');
  const base = `abcd${'0'.repeat(28)}`;
  sql(
    home,
    `UPDATE images SET modules_dir = ?, build_size = 8589934592, packages_preset = 'debian', docker = 1, protected = 1,
      seeded_ssh_public_key_fingerprint = 'SHA256:abc', base_image_id = ?, base_image_name = 'debian-base'`,
    ...[modules, base],
  );
  insertVm(home, 'web', 'one');
  const shown = await home.ok(['image', 'show', 'one']);
  const [line = ''] = sql<{ line: string }>(home, 'SELECT id AS line FROM images').map(({ line }) => line);
  expect(
    shown.replaceAll(/\(\d+(\.\d+)? [KM]iB( of \d+ MiB)?\)/gu, '(SIZE)').replaceAll(/\(2.*Z\)/gu, '(TIME)'),
  ).toBe(
    `name:           one
id:             ${line}
managed:        no, the files are yours
rootfs:         ${rootfs} (SIZE)
work seed:      ${rootfs.replace('one.ext4', 'one.work-seed.ext4')} (SIZE)
kernel:         ${kernel} (SIZE)
kernel version: 6.1.0-99-test-amd64, bzImage
modules:        ${modules}
size asked for: 8 GiB
packages:       debian+docker
built from:     debian-base (abcd00000000, deleted)
ssh key:        SHA256:abc
protected:      yes
in use by:      vm web
created:        just now (TIME)
updated:        just now (TIME)
`,
  );
});
