import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import {
  type BuiltImage,
  build,
  buildArguments,
  failToBuild,
  journalOf,
  makeBase,
  readLogs,
} from '../support/builds.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { changeGuest, listGuest, readGuest, statGuest } from '../support/guest-files.ts';
import { fakeBzImage, makeModules } from '../support/images.ts';

const STAGES = [
  'resolve_image',
  'launch_builder',
  'prepare_work_seed',
  'seed_ssh',
  'write_metadata',
  'activate_artifacts',
  'persisted',
];

function hashOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** What the packages sidecar must hold. */
function sidecar(...lines: readonly string[]): string {
  const content = lines.map((line) => `${line}\n`).join('');
  return `${createHash('sha256').update(content).digest('hex')}\n`;
}

function sidecarOf(image: BuiltImage): string {
  return readFileSync(`${image.rootfs_path}.packages.sha256`, 'utf8');
}

describe.each(testAccounts())('as $label', (account) => {
  test('a build goes through its stages, and leaves the base as it was', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs, kernel, modules } = await makeBase(home);
    const before = [hashOf(rootfs), statSync(rootfs, { bigint: true }).mtimeNs, hashOf(kernel)];
    const image = await build(home, 'made', ['--run', 'echo made >/etc/made']);

    const journal = await journalOf(home, 'made');
    expect(journal).toMatchObject({ kind: 'build', state: 'succeeded', stage: 'persisted', error: null });
    const finished = journal.events.filter(({ event }) => event === 'finished');
    expect(finished.map(({ stage }) => stage)).toEqual(STAGES);
    const started = journal.events.filter(({ event }) => event === 'started');
    expect(started.map(({ stage }) => stage)).toEqual(STAGES);

    expect([hashOf(rootfs), statSync(rootfs, { bigint: true }).mtimeNs, hashOf(kernel)]).toEqual(before);
    const directory = join(home.stateDir, 'images', image.id);
    expect(image).toMatchObject({
      name: 'made',
      managed: true,
      artifact_dir: directory,
      rootfs_path: join(directory, 'rootfs.ext4'),
      work_seed_path: join(directory, 'work-seed.ext4'),
      kernel_path: join(directory, 'kernel'),
      initrd_path: null,
      modules_dir: join(directory, 'modules'),
      build_size: null,
      packages_preset: 'none',
      docker: false,
      kernel_version: '6.1.0-99-test-amd64',
      base_image_name: 'base',
    });
    expect(readdirSync(directory).sort()).toEqual([
      'kernel',
      'modules',
      'rootfs.ext4',
      'rootfs.ext4.packages.sha256',
      'work-seed.ext4',
    ]);
    expect(hashOf(image.kernel_path)).toBe(hashOf(kernel));
    expect(readdirSync(join(directory, 'modules'))).toEqual(readdirSync(modules));
    expect(sidecarOf(image)).toBe(sidecar());
    expect(await readGuest(image.rootfs_path, '/etc/made')).toBe('made\n');
    const { document: shown } = await home.json<BuiltImage>(['image', 'show', 'made']);
    expect(shown).toMatchObject({ id: image.id, base_image_id: image.base_image_id });

    const seconds = Math.floor(Date.now() / 1000);
    const unnamed = await home.json<BuiltImage>(['image', 'build', '--from-image', image.id]);
    expect(unnamed.document).not.toHaveProperty('error');
    const [, at] = /^image-(\d+)$/u.exec(unnamed.document.name) ?? [];
    expect(Number(at) - seconds).toBeOneOf([0, 1, 2]);
    const table = await home.ok(['image', 'list', '--quiet']);
    expect(table.split('\n').sort()).toEqual(['', 'base', unnamed.document.name, 'made'].sort());
  });

  test('the steps run in the order of the command line, variables from where they stand', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const script = await home.write('second.sh', 'echo "second $WHO $SECRET" >>/order\n');
    const file = await home.write('order', 'copied\n');
    const image = await build(home, 'ordered', [
      ...['--run', 'echo "first $WHO." >>/order'],
      ...['--env', 'WHO=me'],
      ...['--env', 'SECRET=hunter=2 and $more'],
      ...['--script', script],
      ...['--env', 'WHO='],
      ...['--run', 'cat /order; echo "third $WHO. $SECRET" >>/order; mv /order /before'],
      ...['--copy', `${file}:/order`],
      ...['--run', 'mv /order /after'],
    ]);
    expect(await readGuest(image.rootfs_path, '/before')).toBe(
      'first .\nsecond me hunter=2 and $more\nthird . hunter=2 and $more\n',
    );
    expect(await readGuest(image.rootfs_path, '/after')).toBe('copied\n');
    const printed = /^\S+ {3}second me hunter=2/mu;
    const log = await readLogs(home);
    expect(log).toMatch(printed);
    expect(log.replace(printed, '')).not.toContain('hunter');
    expect(log).not.toContain('e2fsck');

    const failed = await failToBuild(home, 'failed', [
      '--env',
      'SECRET=hunter2',
      '--run',
      'test -z "$SECRET"',
    ]);
    expect(failed).toMatchObject({ code: 'step_failed', status: 1 });
    expect(JSON.stringify(failed)).not.toContain('hunter2');
    const misspelt = await home.run(buildArguments('wrong', '--env', 'pass-word=hunter2'));
    expect(misspelt).toMatchObject({ status: 2, stdout: '' });
    expect(misspelt.stderr).toContain('pass-word');
    expect(misspelt.stderr).not.toContain('hunter2');
    const state = await run('grep', ['-rl', 'hunter2', home.stateDir], { okExit: 'any' });
    expect(state.stdout).toBe('');
  });

  test('a size grows the root filesystem, and is refused when it does not', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs } = await makeBase(home);
    const image = await build(home, 'grown', ['--size', '96MiB']);
    expect(image.build_size).toBe(96 * 2 ** 20);
    const grown = await readFile(image.rootfs_path);
    expect(grown.length).toBe(96 * 2 ** 20);
    const blockBytes = 1024 << grown.readUInt32LE(1024 + 0x18);
    expect(grown.readUInt32LE(1024 + 0x4) * blockBytes).toBe(96 * 2 ** 20);
    expect(statSync(image.rootfs_path).blocks * 512).toBeLessThan(16 * 2 ** 20);

    expect(await home.run(buildArguments('no', '--size', '1073741824'))).toMatchObject({
      status: 2,
      stdout: '',
    });
    const smaller = await failToBuild(home, 'smaller', ['--size', '15.9M']);
    expect(smaller).toMatchObject({
      code: 'usage',
      exit_code: 2,
      message: expect.stringContaining('16 MiB'),
    });
    expect(smaller.hints).toContain('ask for 16M or more, or leave the size out');

    // What a machine that crashed left: the journal has writes that are not in their place.
    await changeGuest(rootfs, 'feature +needs_recovery');
    for (const size of [[], ['--size', '16M']]) {
      const recovered = await build(home, `recovered${size.length}`, [...size, '--run', 'echo fine >/fine']);
      expect(await readGuest(recovered.rootfs_path, '/fine')).toBe('fine\n');
    }
  });

  test('kernel, initrd and modules are the given ones, else the base has them', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const kernel = await home.write('other', fakeBzImage('7.0.1-other'));
    const initrd = await home.write('initrd', '070701 an initrd');
    await makeModules(join(home.directory, 'several'), '7.0.1-other');
    await makeModules(join(home.directory, 'several'), '7.0.2-next');
    const image = await build(home, 'other', [
      ...['--kernel', 'other'],
      ...['--initrd', initrd],
      ...['--modules', 'several'],
    ]);
    expect(image).toMatchObject({ kernel_version: '7.0.1-other' });
    expect(hashOf(image.kernel_path)).toBe(hashOf(kernel));
    expect(readFileSync(image.initrd_path ?? '', 'utf8')).toBe('070701 an initrd');
    expect(readdirSync(image.modules_dir ?? '').sort()).toEqual(['7.0.1-other', '7.0.2-next']);
    expect(await listGuest(image.rootfs_path, '/lib/modules')).toEqual(['7.0.1-other', '7.0.2-next']);
    expect(
      await statGuest(image.rootfs_path, '/lib/modules/7.0.2-next/kernel/drivers/net/dummy.ko'),
    ).toMatchObject({
      type: 'regular',
      uid: 0,
      gid: 0,
      size: 12,
    });

    // A managed image keeps its modules without the name of their version; its kernel tells it.
    await home.ok(['image', 'promote', 'base']);
    const { document: base } = await home.json<BuiltImage>(['image', 'show', 'base']);
    expect(readdirSync(base.modules_dir ?? '')).toContain('modules.dep');
    const dep = '/lib/modules/6.1.0-99-test-amd64/modules.dep';
    const inherited = await build(home, 'inherited', ['--run', `cat ${dep}; echo mine >${dep}`]);
    expect(await readLogs(home)).toContain('dummy.ko');
    expect(inherited.initrd_path).toBeNull();
    const args = ['image', 'build', 'heir', '--from-image', inherited.id.slice(0, 8)];
    const { document: heir } = await home.json<BuiltImage>(args);
    expect(await readGuest(heir.rootfs_path, dep)).toBe('mine\n');
    expect(readFileSync(join(heir.modules_dir ?? '', 'modules.dep'), 'utf8')).toContain('dummy.ko');

    await run('mkfifo', [join(home.directory, 'several/7.0.2-next/kernel/pipe')]);
    const refused = await failToBuild(home, 'refused', [
      '--modules',
      'several',
      '--kernel',
      'nowhere',
      '--initrd',
      '.',
    ]);
    expect(refused).toMatchObject({ code: 'preflight_failed', exit_code: 6 });
    expect(refused.message).toMatch(/pipe is neither/u);
    expect(refused.message).toMatch(/kernel \S+\/nowhere does not exist/u);
    expect(refused.message).toMatch(/initrd \S+ is a directory/u);
  });

  test('packages want apt; with it they come once, in order, and the sidecar tells which', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    await makeBase(home);
    for (const wish of [['--preset', 'debian'], ['--docker']]) {
      const refused = await failToBuild(home, 'refused', wish);
      expect(refused).toMatchObject({ code: 'preflight_failed', exit_code: 6 });
      expect(refused.message).toContain('no apt');
    }
    expect(await home.run(buildArguments('refused', '--package=--purge'))).toMatchObject({ status: 2 });

    // An apt that only writes down what it is asked for.
    const note = '#!/bin/sh\necho "$(busybox basename "$0") $*" >>/asked\n';
    for (const tool of ['apt-get', 'apt-cache', 'systemctl']) await home.write(`tools/${tool}`, note, 0o755);
    await home.write('tools/dpkg-query', '#!/bin/sh\nprintf "ii curl\\nii git\\nun less\\n"\n', 0o755);
    const apt = await build(home, 'apt', [
      '--copy',
      'tools:/usr/bin',
      '--run',
      'mkdir -p /var/lib/apt /var/cache/apt',
    ]);
    expect(apt).toMatchObject({ packages_preset: 'none' });

    const asked = async (image: BuiltImage): Promise<string[]> =>
      (await readGuest(image.rootfs_path, '/asked'))
        .split('\n')
        .map((line) => line.replaceAll(/ -\S+| Acquire\S+| APT\S+| Dpkg\S+/gu, ''));
    const preset = [
      ...['ca-certificates', 'curl', 'git', 'iproute2', 'iputils-ping', 'less', 'openssh-server', 'procps'],
      ...['rsync', 'sudo', 'vim-tiny', 'xz-utils'],
    ];
    const from = (name: string, ...flags: string[]): Promise<{ document: BuiltImage }> =>
      home.json<BuiltImage>(['image', 'build', name, '--from-image', 'apt', ...flags]);
    const packages = [
      '--package',
      'zsh',
      '--package',
      'htop=3.2-1',
      '--run',
      'echo between >>/asked',
      '--package',
      'jq',
    ];
    const { document: full } = await from('full', '--docker', ...packages);
    expect(full).toMatchObject({ packages_preset: 'debian', docker: true });
    expect(sidecarOf(full)).toBe(sidecar(...preset, 'zsh', 'htop=3.2-1', 'jq', '#feature:docker'));
    const present = new Set(['curl', 'git']);
    expect(await asked(full)).toEqual([
      'apt-get update',
      `apt-get install ${preset.filter((name) => !present.has(name)).join(' ')}`,
      'apt-cache show docker-cli',
      'apt-get install docker.io docker-cli',
      'systemctl enable docker.service containerd.service',
      'apt-get install zsh htop=3.2-1',
      'between',
      'apt-get update',
      'apt-get install jq',
      '',
    ]);

    const { document: heir } = await home.json<BuiltImage>([
      'image',
      'build',
      'heir',
      '--from-image',
      'full',
      '--preset',
      'none',
    ]);
    expect(heir).toMatchObject({ packages_preset: 'none', docker: false });
    expect(sidecarOf(heir)).toBe(sidecar());
  });

  test('without SSH no key is made; with it the configured one may log in', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const closed = await build(home, 'closed', ['--no-ssh']);
    expect(closed.seeded_ssh_public_key_fingerprint).toBeNull();
    expect(await statGuest(closed.work_seed_path, '/.ssh')).toBeNull();
    expect((await journalOf(home, 'closed')).events.map(({ stage }) => stage)).not.toContain('seed_ssh');

    await run('ssh-keygen', [
      '-q',
      ...['-t', 'ed25519'],
      ...['-N', ''],
      ...['-C', 'a comment'],
      ...['-f', join(home.directory, 'key')],
    ]);
    await run('chown', [
      `${account.uid}:${account.gid}`,
      join(home.directory, 'key'),
      join(home.directory, 'key.pub'),
    ]);
    await home.write('.config/banger/config.toml', `ssh_key_path = "${join(home.directory, 'key')}"\n`);
    const other = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g other';
    const open = await build(home, 'open', [
      '--run',
      `mkdir -p /root/.ssh; echo '${other}' >/root/.ssh/authorized_keys; chmod 777 /root/.ssh`,
    ]);
    const key = readFileSync(join(home.directory, 'key.pub'), 'utf8');
    const { stdout } = await run('ssh-keygen', ['-l', '-f', join(home.directory, 'key.pub')]);
    expect(open.seeded_ssh_public_key_fingerprint).toBe(stdout.split(' ')[1]);
    expect(await readGuest(open.work_seed_path, '/.ssh/authorized_keys')).toBe(`${other}\n${key}`);
    expect(await statGuest(open.work_seed_path, '/.ssh')).toMatchObject({ mode: 0o700, uid: 0, gid: 0 });
    // The root filesystem itself is as the steps left it.
    expect(await readGuest(open.rootfs_path, '/root/.ssh/authorized_keys')).toBe(`${other}\n`);
  });
});
