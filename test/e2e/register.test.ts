import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, rename, stat, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { makeBootFiles, makeDisk, registerImage } from '../support/boot-files.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { sql } from '../support/registry.ts';

interface Shown {
  id: string;
  rootfs_path: string;
  work_seed_path: string | null;
  seeded_ssh_public_key_fingerprint: string | null;
  created_at: string;
  updated_at: string;
  docker: boolean;
}

interface Failure {
  error: { code: string; message: string; hints: string[]; faults: { message: string; mend: string }[] };
}

async function identityOf(path: string): Promise<unknown[]> {
  const { mtimeMs, ctimeMs, size, mode, uid } = await stat(path);
  return [
    createHash('sha256')
      .update(await readFile(path))
      .digest('hex'),
    mtimeMs,
    ctimeMs,
    size,
    mode,
    uid,
  ];
}

describe.each(testAccounts())('register as $label', (account) => {
  test('records absolute paths and what the kernel is, and leaves the files alone', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs, kernel, modules } = await makeBootFiles(home);
    const initrd = await home.write('initrd.img', '070701');
    const before = await Promise.all([rootfs, kernel, initrd].map(identityOf));
    const { document } = await home.json<Shown>(
      [
        'image',
        'register',
        'little',
        '--rootfs',
        'little.ext4',
        '--kernel',
        './little.vmlinuz',
        '--initrd',
        initrd,
      ].concat(['--modules', modules, '--docker']),
    );
    expect(document).toMatchObject({
      outcome: 'registered',
      name: 'little',
      managed: false,
      artifact_dir: null,
      rootfs_path: rootfs,
      kernel_path: kernel,
      initrd_path: initrd,
      modules_dir: modules,
      work_seed_path: null,
      docker: true,
      kernel_format: 'bzImage',
      kernel_version: '6.1.0-99-test-amd64',
    });
    expect(document.created_at).toBe(document.updated_at);
    expect(await Promise.all([rootfs, kernel, initrd].map(identityOf))).toEqual(before);
  });

  test('reports all faults at once, each with the flag that mends it', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs, kernel } = await makeBootFiles(home);
    const directory = join(home.directory, 'directory');
    await mkdir(directory);
    const flags = ['--rootfs', kernel, '--kernel', rootfs, '--initrd', directory, '--modules', kernel];
    const args = ['image', 'register', 'little', ...flags, '--work-seed', join(home.directory, 'no')];
    expect((await home.fails(6, args)).replaceAll(home.directory, '~')).toBe(
      `error: image little: 5 problems
  - root filesystem ~/little.vmlinuz is a Linux kernel, not an ext4 filesystem
    → give another file: --rootfs FILE
  - kernel ~/little.ext4 is an ext4 filesystem of 8 MiB, not an ELF vmlinux, a bzImage or an arm64 Image
    → give another file: --kernel FILE
  - initrd ~/directory is a directory, not a regular file
    → give another file: --initrd FILE
  - modules directory ~/little.vmlinuz is not a directory
    → give another directory: --modules DIR
  - work seed ~/no does not exist
    → give another file: --work-seed FILE
`,
    );
    const { status, document } = await home.json<Failure>(args);
    expect(status).toBe(6);
    expect(document.error).toMatchObject({ code: 'preflight_failed', exit_code: 6 });
    expect(document.error.faults.map(({ mend }) => mend)).toEqual(document.error.hints);
    expect(document.error.faults).toHaveLength(5);
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('');
  });
});

describe('register', () => {
  const { user } = inject('testRun');

  test('finds the work seed beside the rootfs, by both rules, unless another is given', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    const { rootfs, kernel } = await makeBootFiles(home, 'a');
    const seed = await makeDisk(home, 'a.work-seed.ext4');
    const other = await makeDisk(home, 'other.ext4');
    const bare = join(home.directory, 'a.img');
    const register = async (name: string, from: string, more: string[] = []): Promise<string | null> => {
      const flags = ['--rootfs', from, '--kernel', kernel, ...more];
      return (await home.json<Shown>(['image', 'register', name, ...flags])).document.work_seed_path;
    };
    expect(await register('dotted', rootfs)).toBe(seed);
    expect(await register('given', rootfs, ['--work-seed', other])).toBe(other);
    await rename(rootfs, bare);
    expect(await register('not-there', bare)).toBeNull();
    await rename(seed, `${bare}.work-seed`);
    expect(await register('bare', bare)).toBe(`${bare}.work-seed`);
  });

  test('a seed beside the rootfs is looked into like any other file', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { flags } = await makeBootFiles(home, 'a');
    const seed = await home.write('a.work-seed.ext4', 'not a disk');
    const said = await home.fails(6, ['image', 'register', 'a', ...flags]);
    expect(said).toContain(`work seed ${seed} is a file of unknown format, not an ext4 filesystem`);
    expect(said).toContain('→ give another file: --work-seed FILE');
  });

  test('again updates in place: id and creation stay, a changed work seed forgets its fingerprint', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    const { flags } = await makeBootFiles(home);
    const [first, second] = [await makeDisk(home, 'one.seed'), await makeDisk(home, 'two.seed')];
    const register = async (more: string[]): Promise<Shown & { outcome: string }> =>
      (await home.json<Shown & { outcome: string }>(['image', 'register', 'little', ...flags, ...more]))
        .document;
    const before = await register(['--work-seed', first, '--docker']);
    const seeded = (): void =>
      void sql(home, "UPDATE images SET seeded_ssh_public_key_fingerprint = 'SHA256:x'");

    seeded();
    const same = await register(['--work-seed', first]);
    expect(same).toMatchObject({
      outcome: 'updated',
      id: before.id,
      created_at: before.created_at,
      docker: false,
    });
    expect(same.seeded_ssh_public_key_fingerprint).toBe('SHA256:x');
    expect(same.updated_at > before.updated_at).toBe(true);

    const changed = await register(['--work-seed', second]);
    expect(changed).toMatchObject({ work_seed_path: second, seeded_ssh_public_key_fingerprint: null });
    seeded();
    const none = await register([]);
    expect(none).toMatchObject({
      work_seed_path: null,
      seeded_ssh_public_key_fingerprint: null,
      id: before.id,
    });
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('little\n');
  });

  test('refuses the name of a managed image, which stays as it is', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { flags } = await registerImage(home, 'little');
    await home.ok(['image', 'promote', 'little']);
    const before = sql(home, 'SELECT * FROM images');
    const said = await home.fails(5, ['image', 'register', 'little', ...flags]);
    expect(said).toMatch(/^error: little is a managed image \([0-9a-f]{12}\): its files belong to banger\n/u);
    expect(said).toContain('→ register under another name');
    expect(sql(home, 'SELECT * FROM images')).toEqual(before);
  });

  test('of one name by several at once makes one image', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { flags } = await makeBootFiles(home);
    const all = await Promise.all(
      [1, 2, 3, 4].map(() =>
        home.json<{ id: string; outcome: string }>(['image', 'register', 'little', ...flags]),
      ),
    );
    expect(all.map(({ status }) => status)).toEqual([0, 0, 0, 0]);
    expect(all.map(({ document }) => document.outcome).sort()).toEqual([
      'registered',
      'updated',
      'updated',
      'updated',
    ]);
    expect(new Set(all.map(({ document }) => document.id)).size).toBe(1);
  });

  test.for([
    ['', "'' is not a valid image name"],
    ['a b\n\u001b[31mc\u202e', "'a b c' is not a valid image name"],
    ['0123456789abcdef'.repeat(2), "'0123456789abcdef0123456789abcdef' has the shape of an image id"],
    ['-a', "'-a' is not a valid image name"],
  ] as const)('refuses the name %j', async ([name, said], { makeHome }) => {
    const home = await makeHome(user);
    const flags = ['--rootfs', 'no', '--kernel', 'no'];
    expect(await home.fails(2, ['image', 'register', ...flags, '--', name])).toContain(`error: ${said}`);
  });

  test.for(['-new\nline "quoted" it\'s $(x) `x` \\ ünï.ext4', `${'x'.repeat(245)}.ext4`])(
    'takes a rootfs whose name is %j as far as promote and delete',
    async (name, { makeHome }) => {
      const home = await makeHome(user);
      const { rootfs, kernel } = await makeBootFiles(home);
      const hostile = join(home.directory, name);
      await rename(rootfs, hostile);
      await home.ok(['image', 'register', 'little', '--rootfs', basename(hostile), '--kernel', kernel]);
      const { document } = await home.json<Shown>(['image', 'show', 'little']);
      expect(document.rootfs_path).toBe(hostile);
      const shown = await home.ok(['image', 'show', 'little']);
      expect(shown).toContain(`rootfs:         ${hostile.replace('\n', ' ')} (`);
      await home.ok(['image', 'promote', 'little']);
      await home.verify();
      await home.ok(['image', 'delete', 'little']);
      expect((await stat(hostile)).isFile()).toBe(true);
    },
  );

  test('says of a file that this user may not read just that', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { rootfs, kernel } = await makeBootFiles(home);
    await chmod(kernel, 0);
    const closed = join(home.directory, 'closed');
    await mkdir(closed, { mode: 0 });
    const args = ['image', 'register', 'little', '--kernel', kernel];
    expect(await home.fails(6, [...args, '--rootfs', rootfs])).toContain(
      'little.vmlinuz cannot be read by this user',
    );
    const said = await home.fails(6, [...args, '--rootfs', join(closed, 'a.ext4')]);
    expect(said).toContain('2 problems');
    expect(said).toContain('closed/a.ext4 cannot be read by this user');
  });

  test('follows links, and says of one that leads nowhere what is the matter', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { rootfs, kernel } = await makeBootFiles(home);
    const at = (name: string): string => join(home.directory, name);
    await symlink(basename(rootfs), at('link.ext4'));
    await symlink('loop', at('loop'));
    await symlink('nowhere', at('broken'));
    const args = ['image', 'register', 'little', '--kernel', kernel, '--rootfs'];
    await home.ok([...args, at('link.ext4')]);
    expect(await home.fails(6, [...args, at('loop')])).toContain('is a loop of symbolic links');
    expect(await home.fails(6, [...args, at('broken')])).toContain('broken does not exist');
    expect(await home.fails(6, [...args, 'x'.repeat(300)])).toContain('has too long a name');
  });
});
