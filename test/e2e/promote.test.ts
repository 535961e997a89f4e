import { existsSync } from 'node:fs';
import { appendFile, chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { type BootFiles, makeBootFiles, makeDisk, registerImage } from '../support/boot-files.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { holdTool } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { makeRootfs } from '../support/images.ts';
import { sql, stagesOf } from '../support/registry.ts';
import { fileIdentity, hashOf, treeContent } from '../support/source.ts';

interface Shown {
  id: string;
  artifact_dir: string;
  rootfs_path: string;
  kernel_path: string;
  initrd_path: string;
  modules_dir: string;
  work_seed_path: string;
  seeded_ssh_public_key_fingerprint: string;
}

const SIDECAR = `${'0123456789abcdef'.repeat(4)}\n`;

async function show(home: Home, name: string): Promise<Shown> {
  return (await home.json<Shown>(['image', 'show', name])).document;
}

/** Owner, mode and content of an inode in an ext4 file. */
async function inode(disk: string, path: string): Promise<{ owner: string; mode: string; content: string }> {
  const debugfs = async (command: string): Promise<string> =>
    (await run('debugfs', ['-R', command, disk])).stdout;
  const status = await debugfs(`stat ${path}`);
  const [, mode = ''] = /Mode:\s+(\d+)/u.exec(status) ?? [];
  const [, uid, gid] = /User:\s+(\d+)\s+Group:\s+(\d+)/u.exec(status) ?? [];
  const content = /Type: regular/u.test(status) ? await debugfs(`cat ${path}`) : '';
  return { owner: `${uid}:${gid}`, mode, content };
}

describe.each(testAccounts())('promote as $label', (account) => {
  test('copies all that there is under the same id, and touches no source', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { kernel, modules } = await makeBootFiles(home);
    const rootfs = await makeRootfs(join(home.directory, 'big.ext4'), { owner: account });
    const initrd = await home.write('initrd.img', '070701 an initrd');
    const sidecar = await home.write('big.ext4.packages.sha256', SIDECAR);
    const sources = [rootfs, kernel, initrd, sidecar, join(modules, 'modules.dep')];
    const before = await Promise.all(sources.map(fileIdentity));
    const flags = ['--rootfs', rootfs, '--kernel', kernel, '--initrd', initrd, '--modules', modules];
    const registered = await home.json<Shown>(['image', 'register', 'little', ...flags, '--docker']);

    const { stdout, stderr } = await home.run(['image', 'promote', 'little']);

    const image = await show(home, 'little');
    const directory = join(home.stateDir, 'images', registered.document.id);
    expect(image).toMatchObject({
      id: registered.document.id,
      managed: true,
      artifact_dir: directory,
      rootfs_path: join(directory, 'rootfs.ext4'),
      kernel_path: join(directory, 'kernel'),
      initrd_path: join(directory, 'initrd.img'),
      modules_dir: join(directory, 'modules'),
      work_seed_path: null,
      docker: true,
      kernel_version: '6.1.0-99-test-amd64',
    });
    expect(stdout).toBe(`promoted little: ${directory}\n`);
    expect(stderr).toContain('copy_rootfs ...\n');
    const stages = ['copy_rootfs', 'copy_boot_artifacts', 'activate_artifacts', 'persisted'];
    expect(stagesOf(home, 'promote')).toEqual(stages);
    expect([...stderr.matchAll(/^(\w+) done in/gmu)].map(([, stage]) => stage)).toEqual(stages);
    for (const [source, copy] of [
      [rootfs, image.rootfs_path],
      [kernel, image.kernel_path],
      [initrd, image.initrd_path],
      [sidecar, `${image.rootfs_path}.packages.sha256`],
    ] as const) {
      expect(await hashOf(copy)).toBe(await hashOf(source));
      expect((await stat(copy)).mode & 0o777).toBe(0o600);
    }
    expect(await treeContent(image.modules_dir)).toEqual(await treeContent(modules));
    expect(await Promise.all(sources.map(fileIdentity))).toEqual(before);
  });

  test('seeds the work seed so that the configured key, and every key it had, may log in as root', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    const other = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBbdKYbBhqPaPPjZJCSMHkjwK0qDeqeHNqQqYnDUW4Jt somebody';
    const seed = await makeDisk(home, 'little.work-seed.ext4', {
      '.ssh/authorized_keys': `# kept\n${other}`,
      '.profile': 'kept too\n',
    });
    const before = await fileIdentity(seed);
    await registerImage(home, 'little');
    await home.ok(['image', 'promote', 'little']);

    const stages = ['copy_rootfs', 'copy_work_seed', 'seed_ssh', 'copy_boot_artifacts', 'activate_artifacts'];
    expect(stagesOf(home, 'promote')).toEqual([...stages, 'persisted']);
    const privateKey = join(home.directory, '.config/banger/id_ed25519');
    const key = (await readFile(`${privateKey}.pub`, 'utf8')).trim().split(' ').slice(0, 2).join(' ');
    expect((await stat(privateKey)).mode & 0o777).toBe(0o600);
    const { stdout } = await run('ssh-keygen', ['-l', '-f', `${privateKey}.pub`]);
    const image = await show(home, 'little');
    expect(image.seeded_ssh_public_key_fingerprint).toBe(stdout.split(' ')[1]);
    expect(await inode(image.work_seed_path, '/')).toMatchObject({ owner: '0:0', mode: '0755' });
    expect(await inode(image.work_seed_path, '/.ssh')).toMatchObject({ owner: '0:0', mode: '0700' });
    const keys = await inode(image.work_seed_path, '/.ssh/authorized_keys');
    expect(keys).toMatchObject({ owner: '0:0', mode: '0600' });
    const lines = keys.content.trimEnd().split('\n');
    expect(lines.slice(0, 2)).toEqual(['# kept', other]);
    expect(lines.filter((line) => line.startsWith(key))).toHaveLength(1);
    expect(lines).toHaveLength(3);
    expect((await inode(image.work_seed_path, '/.profile')).content).toBe('kept too\n');
    expect(await fileIdentity(seed)).toBe(before);

    // A seed that has the key already gets it no second time.
    const again = join(home.directory, 'again.work-seed.ext4');
    await copyFile(image.work_seed_path, again);
    await run('chown', [`${account.uid}:${account.gid}`, again]);
    await registerImage(home, 'again');
    await home.ok(['image', 'promote', 'again']);
    const second = await show(home, 'again');
    expect((await inode(second.work_seed_path, '/.ssh/authorized_keys')).content).toBe(keys.content);
    expect(second.seeded_ssh_public_key_fingerprint).toBe(image.seeded_ssh_public_key_fingerprint);
  });
});

describe('promote', () => {
  const { user } = inject('testRun');

  test('of an image whose work seed is gone forgets it', async ({ makeHome }) => {
    const home = await makeHome(user);
    const seed = await makeDisk(home, 'little.work-seed.ext4');
    await registerImage(home, 'little');
    sql(home, "UPDATE images SET seeded_ssh_public_key_fingerprint = 'SHA256:x'");
    await rm(seed);
    const { status, stderr } = await home.run(['image', 'promote', 'little']);
    expect(status).toBe(0);
    expect(stderr).toContain(`  ${seed} is gone; the image has no work seed any more\n`);
    const stages = ['copy_rootfs', 'skip_missing_work_seed', 'copy_boot_artifacts', 'activate_artifacts'];
    expect(stagesOf(home, 'promote')).toEqual([...stages, 'persisted']);
    expect(await show(home, 'little')).toMatchObject({
      work_seed_path: null,
      seeded_ssh_public_key_fingerprint: null,
    });
  });

  test('of an image whose work seed cannot be reached does not take it for gone', async ({ makeHome }) => {
    const home = await makeHome(user);
    const directory = join(home.directory, 'seeds');
    await mkdir(directory);
    const seed = await makeDisk(home, 'seeds/seed.ext4');
    await registerImage(home, 'little', ['--work-seed', seed]);
    await chmod(directory, 0);
    try {
      const said = await home.fails(6, ['image', 'promote', 'little']);
      expect(said).toContain(`work seed ${seed} cannot be read by this user`);
    } finally {
      await chmod(directory, 0o755);
    }
    expect((await show(home, 'little')).work_seed_path).toBe(seed);
  });

  test('looks into the files once more, and says how to register others', async ({ makeHome }) => {
    const home = await makeHome(user);
    const { rootfs, kernel } = await registerImage(home, 'little');
    await rm(rootfs);
    await home.write('little.vmlinuz', 'no kernel');
    const said = await home.fails(6, ['image', 'promote', 'little']);
    expect(said).toContain(`root filesystem ${rootfs} does not exist`);
    expect(said).toContain(`kernel ${kernel} is a file of unknown format`);
    expect(said).toContain('banger image register little --rootfs FILE --kernel FILE');
  });

  test('of a managed image is refused', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'little');
    await home.ok(['image', 'promote', 'little']);
    const before = sql(home, 'SELECT * FROM images');
    expect(await home.fails(5, ['image', 'promote', 'little'])).toContain(
      'error: little is managed already\n',
    );
    expect(sql(home, 'SELECT * FROM images')).toEqual(before);
  });

  test('is refused where a directory stands in its way, which stays as it is', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'little');
    const directory = join(home.stateDir, 'images', (await show(home, 'little')).id);
    await home.write(join(directory.slice(home.directory.length), 'precious'), 'kept');
    const said = await home.fails(11, ['image', 'promote', 'little']);
    expect(said).toBe(
      `error: ${directory} exists already, but nothing in the registry has it\n  → banger check --repair\n`,
    );
    expect(await readFile(join(directory, 'precious'), 'utf8')).toBe('kept');
    expect(await readdir(join(home.stateDir, 'images'))).toHaveLength(1);
    await rm(directory, { recursive: true });
    await home.ok(['image', 'promote', 'little']);
  });

  const CHANGES: [what: string, change: (files: BootFiles) => Promise<void>][] = [
    ['rootfs grows', ({ rootfs }) => appendFile(rootfs, 'x')],
    ['rootfs is removed', ({ rootfs }) => rm(rootfs)],
    [
      'kernel is replaced',
      ({ kernel }) => copyFile(kernel, `${kernel}.new`).then(() => rename(`${kernel}.new`, kernel)),
    ],
    ['modules get one more', ({ modules }) => appendFile(join(modules, 'new.ko'), 'x')],
  ];

  test.for(CHANGES)('fails and leaves nothing when the %s meanwhile', async ([, change], { makeHome }) => {
    const home = await makeHome(user);
    const { modules } = await makeBootFiles(home);
    const files = await registerImage(home, 'little', ['--modules', modules]);
    const before = sql(home, 'SELECT * FROM images');
    const cp = await holdTool(home, 'cp');
    const promote = home.start(['image', 'promote', 'little'], { env: cp.env });
    await cp.called();
    await change({ ...files, modules });
    await cp.release();
    const { status, stderr } = await promote.result;
    expect(stderr).toMatch(
      /error: copy: \S+ changed while it was being copied\n {2}→ stop whatever writes to it/u,
    );
    expect(status).toBe(6);
    expect(await readdir(join(home.stateDir, 'images'))).toEqual([]);
    expect(sql(home, 'SELECT * FROM images')).toEqual(before);
    expect(sql(home, "SELECT state FROM operations WHERE kind = 'promote'")).toEqual([{ state: 'failed' }]);
  });

  test('of a tree of modules that nobody may write to leaves one that can be deleted', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    const { modules } = await makeBootFiles(home);
    await run('chmod', ['-R', 'a-w', modules]);
    await run('chown', ['-R', `${user.uid}:${user.gid}`, modules]);
    await registerImage(home, 'little', ['--modules', modules]);
    await home.ok(['image', 'promote', 'little']);
    const { artifact_dir } = await show(home, 'little');
    await home.ok(['image', 'delete', 'little']);
    expect(existsSync(artifact_dir)).toBe(false);
  });
});
