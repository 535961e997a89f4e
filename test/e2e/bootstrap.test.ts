import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { testAccounts } from '../support/cli.ts';
import { DEBIAN_TIMEOUT_MS, debianBase } from '../support/debian.ts';
import { test } from '../support/fixtures.ts';
import { readGuest, statGuest } from '../support/guest-files.ts';
import { fakeBzImage } from '../support/images.ts';

interface Shown {
  artifact_dir: string;
  rootfs_path: string;
  work_seed_path: string;
  initrd_path: string | null;
  modules_dir: string | null;
  kernel_version: string;
  packages_preset: string | null;
}

interface Failure {
  error: { code: string; message: string; faults?: { message: string; mend: string }[] };
}

const MIB = 2 ** 20;

/** Everything in a filesystem: path, type, mode, owners, links, target, and the size of what is the same each time. */
async function treeOf(image: string): Promise<string[]> {
  const list = String.raw`cd /mnt && find . -path ./boot/initrd.img\* -prune -o -printf '%p %y %m %U %G %n [%l]\n'`;
  const mount = 'mount -o loop,ro,noload "$1" /mnt';
  const { stdout } = await run('unshare', ['--mount', '--', 'sh', '-c', `${mount} && ${list}`, 'sh', image]);
  return stdout.trimEnd().split('\n').sort();
}

describe.each(testAccounts())('bootstrap as $label', (account) => {
  test("a busybox image is a few MiB of root's files, made in seconds", async ({ makeHome }) => {
    const home = await makeHome(account);
    const kernel = await home.write('vmlinuz', fakeBzImage());
    const flags = ['--flavor', 'busybox', '--kernel', kernel];
    const { document } = await home.json<Shown>(['image', 'bootstrap', 'tiny', ...flags]);
    expect(document).toMatchObject({
      kernel_version: '6.1.0-99-test-amd64',
      initrd_path: null,
      modules_dir: null,
    });
    await home.verify();
    const { size, blocks } = await stat(document.rootfs_path);
    expect([size, blocks * 512 < 8 * MIB]).toEqual([64 * MIB, true]);
    const rootfs = document.rootfs_path;
    expect(await statGuest(rootfs, '/bin/busybox')).toMatchObject({
      type: 'regular',
      mode: 0o755,
      uid: 0,
      gid: 0,
    });
    expect(await statGuest(rootfs, '/sbin/init')).toMatchObject({ type: 'symlink', uid: 0, gid: 0 });
    expect(await statGuest(rootfs, '/root')).toMatchObject({
      type: 'directory',
      mode: 0o700,
      uid: 0,
      gid: 0,
    });
    expect(await statGuest(rootfs, '/tmp')).toMatchObject({ mode: 0o1777 });
    expect(await readGuest(document.work_seed_path, '/.ssh/authorized_keys')).toMatch(/^ssh-ed25519 /u);
  });

  test('whatever is missing for busybox is told at once, before anything is made', async ({ makeHome }) => {
    const home = await makeHome(account);
    const kernel = await home.write('vmlinuz', 'no kernel');
    const flags = ['--flavor', 'busybox', '--kernel', kernel, '--size', '1M'];
    const { status, document } = await home.json<Failure>(['image', 'bootstrap', 'tiny', ...flags]);
    expect([status, document.error.code]).toEqual([6, 'preflight_failed']);
    expect(document.error.faults?.map(({ mend }) => mend)).toEqual([
      expect.stringContaining('--size'),
      expect.stringContaining('--kernel'),
    ]);
    expect(await home.ok(['image', 'list', '--quiet'])).toBe('');
  });

  test.for([
    ['--suite', '-oDir=/'],
    ['--suite', 'Book worm'],
    ['--mirror', 'file:///srv/debian'],
    ['--package', '-oDir=/'],
    ['--package', 'two words'],
    ['--flavor', 'fedora'],
  ])('%s %s is a mistake in the command line', async ([flag = '', value = ''], { makeHome }) => {
    const home = await makeHome(account);
    const { status, document } = await home.json<Failure>(['image', 'bootstrap', 'base', `${flag}=${value}`]);
    expect([status, document.error.code]).toEqual([2, 'usage']);
  });

  test('a package that does not exist ends a Debian bootstrap with its name', {
    timeout: DEBIAN_TIMEOUT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    const flags = ['--package', 'no-such-package-anywhere'];
    const { status, document } = await home.json<Failure>(['image', 'bootstrap', 'base', ...flags], {
      timeoutMs: DEBIAN_TIMEOUT_MS,
    });
    expect([status, document.error.code]).toEqual([9, 'tool_failed']);
    expect(document.error.message).toContain('no-such-package-anywhere');
    expect(await readdir(join(home.stateDir, 'images'))).toEqual([]);
  });

  test('killed while it installs, it leaves nothing that the next command does not remove', {
    timeout: DEBIAN_TIMEOUT_MS,
  }, async ({ makeHome }) => {
    const home = await makeHome(account);
    const running = home.start(['image', 'bootstrap', 'base'], { timeoutMs: DEBIAN_TIMEOUT_MS });
    const logs = join(home.stateDir, 'image-build');
    await waitFor(async () => {
      if (!existsSync(logs)) return false;
      const [log] = await readdir(logs);
      if (log === undefined) return false;
      const { stdout } = await run('grep', ['-c', 'Unpacking', join(logs, log)], { okExit: 'any' });
      return Number(stdout) > 20;
    });
    running.kill('SIGKILL');
    expect((await running.result).status).toBe(137);
    const kernel = await home.write('vmlinuz', fakeBzImage());
    await home.ok(['image', 'bootstrap', 'base', '--flavor', 'busybox', '--kernel', kernel]);
    expect(await readdir(join(home.stateDir, 'images'))).toHaveLength(1);
    await home.verify();
  });

  test('a Debian is configured for a virtual machine, with nothing of this machine in it', {
    timeout: DEBIAN_TIMEOUT_MS,
  }, async () => {
    const { home, image } = await debianBase(account);
    const rootfs = image.rootfs_path;
    expect(await statGuest(rootfs, '/etc/machine-id')).toMatchObject({ type: 'regular', size: 0 });
    expect(await readGuest(rootfs, '/etc/hostname')).toBe('debian\n');
    expect(await readGuest(rootfs, '/etc/fstab')).toMatch(
      /^LABEL=work-seed\t\/root\text4\tnofail,x-systemd.device-timeout=/mu,
    );
    expect(await readGuest(rootfs, '/etc/shadow')).toMatch(/^root:[*!]/mu);
    expect(await readGuest(rootfs, '/etc/ssh/sshd_config.d/key-login-only.conf')).toContain(
      'PasswordAuthentication no',
    );
    expect(await readGuest(rootfs, '/etc/apt/sources.list.d/debian.sources')).toMatch(
      /^Types: deb\nURIs: http/u,
    );
    for (const absent of [
      '/etc/.resolv.conf.systemd-resolved.bak',
      '/etc/ssh/ssh_host_ed25519_key',
      '/etc/ssh/ssh_host_rsa_key',
      '/etc/apt/apt.conf.d/99mmdebstrap',
      '/etc/apt/apt.conf.d/00mmdebstrap',
      '/etc/apt/sources.list.d/0000debian.sources',
      '/var/lib/systemd/random-seed',
      '/usr/sbin/policy-rc.d',
      '/dev/null',
    ]) {
      expect(await statGuest(rootfs, absent), absent).toBeNull();
    }
    const [version = ''] = await readdir(image.modules_dir ?? '');
    expect(await statGuest(rootfs, `/usr/lib/modules/${version}/modules.dep`)).toMatchObject({
      type: 'regular',
    });
    expect(await readdir(image.artifact_dir)).toEqual(
      expect.arrayContaining(['initrd.img', 'kernel', 'modules', 'rootfs.ext4', 'work-seed.ext4']),
    );
    expect(await readdir(image.artifact_dir)).not.toContain('bootstrap');
    await home.verify();
  });
});

const [first, second] = testAccounts();

// Not defined for the executable, which one account alone tests.
if (inject('form') === 'script') {
  test.skipIf(first === undefined || second === undefined)(
    "an ordinary user's Debian has the tree that root's has",
    { timeout: 2 * DEBIAN_TIMEOUT_MS },
    async () => {
      if (first === undefined || second === undefined) return;
      const [one, other] = [await debianBase(first), await debianBase(second)];
      const tree = await treeOf(one.image.rootfs_path);
      expect(tree.length).toBeGreaterThan(5000);
      expect(await treeOf(other.image.rootfs_path)).toEqual(tree);
    },
  );
}

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEBIAN_TIMEOUT_MS / 2;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come to that');
    await sleep(100);
  }
}
