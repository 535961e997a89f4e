import { readdirSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { fakeBzImage } from '../support/images.ts';
import { REPOSITORY } from '../support/program.ts';

const MINUTES = 60_000;
const DIST = join(REPOSITORY, 'dist');

interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

/** A bare Debian 12 (minbase): no Node, nothing of ours. */
describe.runIf(process.getuid?.() === 0)('on a bare Debian', () => {
  const { user } = inject('testRun');
  let root = '';

  /** Runs something in it, with /proc and devices, in namespaces that end with it. */
  async function inside(argv: readonly string[], prepare = ''): Promise<Ran> {
    const proxies = ['http_proxy', 'https_proxy', 'no_proxy'].flatMap((name) =>
      process.env[name] === undefined ? [] : [`${name}=${process.env[name]}`],
    );
    const script = `set -e; root=$1; shift
      # A mount point, as the root of a machine or a container is.
      mount --bind "$root" "$root"
      mount --rbind /dev "$root/dev"; mount -t proc proc "$root/proc"; mount -t sysfs sysfs "$root/sys"
      mount --bind /etc/resolv.conf "$root/etc/resolv.conf"; ${prepare}
      exec chroot $identity "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"`;
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
    const { exitCode, stdout, stderr } = await run(
      'unshare',
      [...namespaces, 'sh', '-c', script, 'sh', root, ...proxies, ...argv],
      { okExit: 'any' },
    );
    return { status: exitCode, stdout, stderr };
  }

  beforeAll(async () => {
    root = await mkdtemp('/var/tmp/banger-bare-');
    await run('mmdebstrap', ['--quiet', '--variant=minbase', 'bookworm', root]);
    await writeFile(join(root, 'etc/resolv.conf'), '');
    await copyFile(join(DIST, 'banger'), join(root, 'usr/bin/banger'));
  }, 5 * MINUTES);

  afterAll(() => rm(root, { recursive: true, force: true }));

  test('the executable runs, and says what else is wanted', async () => {
    expect(await inside(['banger', '--version'])).toMatchObject({ status: 0, stderr: '' });
    expect(await inside(['banger', 'image', 'list', '--json'])).toEqual({
      status: 0,
      stdout: '[]\n',
      stderr: '',
    });
    const doctor = await inside(['banger', 'doctor']);
    expect(doctor.stdout).toMatch(/^ok +e2fsprogs +1\./mu);
    expect(doctor.stdout).toContain('→ apt-get install bubblewrap\n');
    expect(doctor.status).toBe(6);
  });

  test('it runs as an ordinary user without a home, from a root that is read-only', async () => {
    const readonly = `mount -o remount,bind,ro "$root"; mount -t tmpfs -o mode=1777 none "$root/tmp"
      identity=--userspec=${user.uid}:${user.gid};`;
    const list = ['HOME=/nonexistent', 'banger', 'image', 'list', '--json'];
    expect(await inside(list, readonly)).toEqual({ status: 0, stdout: '[]\n', stderr: '' });
  });

  test('the package brings all that a first image takes', { timeout: 10 * MINUTES }, async () => {
    await rm(join(root, 'usr/bin/banger'));
    await run('sh', [join(REPOSITORY, 'scripts/package/run')]);
    const sums = await readFile(join(DIST, 'SHA256SUMS'), 'utf8');
    expect(sums.trim().split('\n')).toHaveLength(2);
    await run('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: DIST });
    const [deb = ''] = readdirSync(DIST).filter((name) => name.endsWith('.deb'));
    await copyFile(join(DIST, deb), join(root, 'tmp/banger.deb'));
    const quietly = ['DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq', '-o', 'APT::Sandbox::User=root'];
    expect((await inside([...quietly, 'update'])).status).toBe(0);
    const install = [...quietly, 'install', '--no-install-recommends', '/tmp/banger.deb'];
    const installed = await inside(install);
    expect([installed.status, installed.stderr]).toEqual([0, expect.not.stringContaining('E:')]);

    const doctor = await inside(['banger', 'doctor']);
    expect([doctor.status, doctor.stdout]).toEqual([0, expect.stringMatching(/^warn +mmdebstrap/mu)]);
    await writeFile(join(root, 'root/vmlinuz'), fakeBzImage());
    const bootstrap = ['image', 'bootstrap', 'tiny', '--flavor', 'busybox', '--kernel', '/root/vmlinuz'];
    const made = await inside(['HOME=/root', 'banger', ...bootstrap, '--json']);
    expect([made.status, JSON.parse(made.stdout)]).toEqual([
      0,
      expect.objectContaining({ name: 'tiny', managed: true }),
    ]);
    for (const path of [
      'man/man1/banger-image-build.1.gz',
      'bash-completion/completions/banger',
      'zsh/vendor-completions/_banger',
    ]) {
      expect(await inside(['test', '-s', `/usr/share/${path}`]), path).toMatchObject({ status: 0 });
    }
  });
});

test('manual pages are without a complaint of groff, one a command', async () => {
  const { manPages } = await import('../../scripts/package/man-pages.ts');
  const { commands } = JSON.parse(await readFile(join(REPOSITORY, 'oclif.manifest.json'), 'utf8'));
  const pages = manPages({
    version: '1',
    date: 0,
    description: 'Manage',
    commands,
    exitCodes: [['0', 'done']],
  });
  expect(pages.size).toBe(Object.keys(commands).length + 1);
  const directory = await mkdtemp(join(inject('testRun').directory, 'man-'));
  for (const [name, page] of pages) {
    const file = join(directory, name);
    await writeFile(file, page);
    const { stdout, stderr } = await run('groff', ['-man', '-Tutf8', '-ww', '-P-cbou', file]);
    expect(stderr, name).toBe('');
    expect(stdout).toMatch(/^NAME\n +banger\S* +- +\S/mu);
  }
});
