import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
import { test } from '../../support/box.ts';
import { testAccounts } from '../../support/cli.ts';
import { mountNew } from '../../support/loop-mount.ts';

const { root, user, directory } = inject('testRun');
const closed = join(directory, 'closed-to-others');
const empty = join(directory, 'empty');

beforeAll(async () => {
  await writeFile(closed, '', { mode: 0o600 });
  await writeFile(empty, '');
});

describe('a sandbox that cannot be opened says why and what to do', () => {
  test.skipIf(root === null)(
    'without subordinate ids, and without FUSE, both at once',
    async ({ openBox }) => {
      const inNamespace = ['/etc/subuid', '/etc/subgid']
        .map((file) => `mount --bind ${empty} ${file}`)
        .concat(`mount --bind ${closed} /dev/fuse`)
        .join('; ');
      const opening = openBox(user, { inNamespace });
      await expect(opening).rejects.toMatchObject({
        code: 'preflight_failed',
        hints: [
          expect.stringMatching(/^sudo usermod --add-subuids \d+-\d+ \S+$/u),
          expect.stringMatching(/^sudo usermod --add-subgids \d+-\d+ \S+$/u),
          'sudo chmod 0666 /dev/fuse',
        ],
      });
    },
  );

  test.skipIf(root === null)('where newuidmap may not be run', async ({ openBox }) => {
    const inNamespace = `mount --bind ${closed} /usr/bin/newuidmap`;
    await expect(openBox(user, { inNamespace })).rejects.toMatchObject({
      code: 'preflight_failed',
      message: expect.stringContaining('newuidmap'),
    });
  });

  test.for(testAccounts())('without its tools, as $label', async (account, { openBox }) => {
    const tools = join(directory, `tools-of-${account.uid}`);
    await mkdir(tools);
    for (const name of ['sh', 'bash', 'setpriv', 'unshare', 'mount', 'umount', 'mountpoint', 'sleep']) {
      const { stdout } = await run('sh', ['-c', 'command -v "$1"', 'sh', name]);
      await symlink(stdout.trim(), join(tools, name));
    }
    await expect(openBox(account, { env: { PATH: tools } })).rejects.toMatchObject({
      code: 'preflight_failed',
      message: expect.stringMatching(/bwrap, .*nsenter.* are not installed$/u),
      hints: [expect.stringMatching(/^(?:sudo )?apt-get install bubblewrap .*util-linux/u)],
    });
  });

  test.skipIf(root === null)('without a loop device', async ({ openBox }) => {
    if (root === null) return;
    const dev = join(directory, 'dev');
    const nodes = '/dev/null /dev/zero /dev/full /dev/random /dev/urandom';
    const inNamespace = `mkdir -p ${dev}; mount -t tmpfs none ${dev}; cp -a ${nodes} ${dev}; mount --move ${dev} /dev`;
    await expect(openBox(root, { inNamespace })).rejects.toMatchObject({
      code: 'preflight_failed',
      message: expect.stringMatching(/loop/u),
      hints: ['modprobe loop'],
    });
  });

  test.for(testAccounts())('for a file that is no image, as $label', async (account, { openBox }) => {
    const image = join(directory, `noise-${account.uid}`);
    await writeFile(image, Buffer.alloc(1024 * 1024, 'noise'));
    await expect(openBox(account, { image })).rejects.toMatchObject({
      code: expect.stringMatching(/^(?:tool_failed|corrupt)$/u),
      message: expect.stringContaining('rootfs.ext4'),
    });
  });

  test.for(testAccounts())(
    'when it is closed and something still works in it, as $label',
    async (account, { openBox }) => {
      const box = await openBox(account);
      await box.tool('sh', ['-c', 'cd "$1" && sleep 60 >/dev/null 2>&1 &', 'sh', join(box.directory, 'mnt')]);
      await expect(box.close()).rejects.toMatchObject({
        code: 'tool_failed',
        message: expect.stringMatching(/could not be unmounted .*(?:busy|status)/u),
      });
      await box.abandon();
      expect(await box.settled()).toEqual([]);
    },
  );

  test.skipIf(root === null)('or works all the same where nothing can be executed', async ({ openBox }) => {
    for (const account of testAccounts()) {
      const small = await mountNew('ext4', { below: directory, sizeMiB: 128, owner: account });
      try {
        await run('mount', ['-o', 'remount,noexec,nodev,nosuid', small.directory]);
        const box = await openBox(account, { below: small.directory });
        expect(await box.ok('cp /bin/busybox /etc; /etc/busybox echo executed')).toBe('executed\n');
        await box.remove();
      } finally {
        await small.remove();
      }
    }
  });
});
