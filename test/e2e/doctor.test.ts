import { chmod, chown, mkdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import type { Finding } from '../../src/lib/finding.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { fakeBzImage, makeRootfs } from '../support/images.ts';

interface Failure {
  error: { code: string; hints: string[]; findings: Finding[] };
}

const AS_ROOT = process.getuid?.() === 0;

describe.each(testAccounts())('as $label', (account) => {
  const isRoot = account.uid === 0;
  const sudo = isRoot ? '' : 'sudo ';

  test('a machine that is ready is said to be, and nothing is made', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { status, document } = await home.json<Finding[]>(['doctor']);
    expect(document.filter((finding) => finding.status === 'fail')).toEqual([]);
    expect(status).toBe(0);
    const names = document.map(({ name }) => name);
    for (const name of ['e2fsprogs', 'bubblewrap', 'state directory', 'reflink', 'space', 'registry']) {
      expect(names).toContain(name);
    }
    expect(names.includes('FUSE')).toBe(!isRoot);
    expect(names.includes('loop devices')).toBe(isRoot);
    const text = await home.ok(['doctor']);
    expect(text.split('\n').filter((line) => /^(?:ok|warn) /u.test(line))).toHaveLength(document.length);
    expect(await home.run(['image', 'list', '--json'])).toMatchObject({ status: 0, stdout: '[]\n' });
  });

  test('tools that are missing are named with what installs them', async ({ makeHome }) => {
    const home = await makeHome(account);
    const options = { env: { PATH: '/nonexistent' } };
    const { status, document } = await home.json<Failure>(['doctor'], options);
    expect({ status, code: document.error.code }).toEqual({ status: 6, code: 'preflight_failed' });
    expect(document.error.hints).toContain(`${sudo}apt-get install bubblewrap`);
    const states = new Map(document.error.findings.map((finding) => [finding.name, finding.status]));
    expect(states.get('bubblewrap')).toBe('fail');
    expect(states.get('mmdebstrap')).toBe('warn');
    const plain = await home.run(['doctor'], options);
    expect(plain.status).toBe(6);
    expect(plain.stdout).toContain(`→ ${sudo}apt-get install bubblewrap\n`);
    expect(plain.stderr).toMatch(/^error: not ready: /u);
  });

  test('a state directory that cannot be is named', async ({ makeHome }) => {
    const home = await makeHome(account);
    const file = await home.write('file', '');
    for (const stateDir of [file, join(file, 'below')]) {
      const { status, stdout } = await home.run(['doctor', '--state-dir', stateDir]);
      expect(status).toBe(6);
      expect(stdout).toMatch(/^fail +state directory/mu);
    }
  });

  test('a state directory that is open to others is warned of', async ({ makeHome }) => {
    const home = await makeHome(account);
    const open = join(home.directory, 'open');
    await mkdir(open);
    await chown(open, account.uid, account.gid);
    await chmod(open, 0o755);
    expect(await home.ok(['doctor', '--state-dir', open])).toContain(`→ chmod 0700 ${open}`);
  });

  test('a damaged registry is found', async ({ makeHome }) => {
    const home = await makeHome(account);
    const rootfs = await makeRootfs(join(home.directory, 'little.ext4'), { owner: account });
    const kernel = await home.write('vmlinuz', fakeBzImage());
    const stateDir = join(home.directory, 'state');
    const flags = ['--state-dir', stateDir];
    await home.ok(['image', 'register', 'little', '--rootfs', rootfs, '--kernel', kernel, ...flags]);
    expect(await home.ok(['doctor', ...flags])).toMatch(/^ok +registry .*is sound$/mu);
    await truncate(join(stateDir, 'banger.db'), 8192);
    const { status, stdout } = await home.run(['doctor', ...flags]);
    expect(status).toBe(6);
    expect(stdout).toMatch(/^fail +registry/mu);
  });
});

describe.runIf(AS_ROOT)('an ordinary user', () => {
  const user = testAccounts().find(({ uid }) => uid !== 0);
  const cases: readonly (readonly [what: string, inNamespace: string, name: string, mend: RegExp])[] = [
    [
      'without subordinate ids',
      'mount --bind /dev/null /etc/subuid',
      'subordinate ids',
      /^sudo usermod --add-subuids 100000-165535 /u,
    ],
    [
      'without /dev/fuse',
      'mount -t tmpfs none /dev; mknod -m 0666 /dev/null c 1 3',
      'FUSE',
      /^sudo modprobe fuse$/u,
    ],
    [
      'who may not open /dev/fuse',
      'touch /dev/shm/$$; chmod 0600 /dev/shm/$$; mount --bind /dev/shm/$$ /dev/fuse; rm /dev/shm/$$',
      'FUSE',
      /^sudo chmod 0666 \/dev\/fuse$/u,
    ],
    [
      'with a newuidmap that has lost its setuid bit',
      'cp /usr/bin/newuidmap /dev/shm/$$; mount --bind /dev/shm/$$ /usr/bin/newuidmap; rm /dev/shm/$$',
      'id mapping',
      /^sudo chmod u\+s \/usr\/bin\/newuidmap$/u,
    ],
  ];

  test.for(cases)('%s is told what mends it', async ([, inNamespace, name, mend], { makeHome }) => {
    if (!user) throw new Error('no ordinary user');
    const home = await makeHome(user);
    const { status, document } = await home.json<Failure>(['doctor'], { inNamespace });
    const finding = document.error.findings.find((one) => one.name === name);
    expect({ exit: status, state: finding?.status }).toEqual({ exit: 6, state: 'fail' });
    expect(finding?.mend).toMatch(mend);
  });

  test('is told of state that root made in its home', async ({ makeHome }) => {
    if (!user) throw new Error('no ordinary user');
    const home = await makeHome(user);
    const stateDir = join(home.directory, 'rooted');
    await mkdir(stateDir, { mode: 0o700 });
    const { status, stdout } = await home.run(['doctor', '--state-dir', stateDir]);
    expect(status).toBe(6);
    expect(stdout).toContain(`→ sudo chown -R ${user.name} ${stateDir}`);
    expect((await home.run(['image', 'list', '--state-dir', stateDir])).status).toBe(6);
  });
});
