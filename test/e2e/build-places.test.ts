import { chmod, readdir, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { type BuiltImage, buildArguments, makeBase, readLogs } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { readGuest } from '../support/guest-files.ts';
import { fakeBzImage, makeRootfs } from '../support/images.ts';
import type { MountedFilesystem } from '../support/loop-mount.ts';
import { assertSound } from '../support/verifier.ts';
import { mountExt4, mountXfs } from '../support/xfs.ts';

const MIB = 2 ** 20;

/** Registers a base of 256 MiB, nearly all of it a hole, that lies with the state on a filesystem of its own. */
async function makeBaseOn(
  home: Home,
  { directory }: MountedFilesystem,
): Promise<{ BANGER_STATE_DIR: string }> {
  const env = { BANGER_STATE_DIR: join(directory, 'state') };
  const rootfs = await makeRootfs(join(directory, 'base.ext4'), { sizeMiB: 256, owner: home.account });
  const kernel = await home.write('kernel', fakeBzImage());
  await home.ok(['image', 'register', 'base', ...['--rootfs', rootfs], ...['--kernel', kernel]], { env });
  return env;
}

/** Extents of a file that it shares with another, and all of them (filefrag(8)). */
async function extentsOf(path: string): Promise<{ shared: number; all: number }> {
  const { stdout } = await run('filefrag', ['-v', path]);
  const extents = stdout.split('\n').filter((line) => /^\s+\d+:/u.test(line));
  return { shared: extents.filter((line) => line.includes('shared')).length, all: extents.length };
}

describe.each(testAccounts())('as $label', (account) => {
  test("a build wants nothing of its environment but cron's", async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const args = [
      ...buildArguments('nightly', '--no-ssh', '--size', '24M', '--run', 'env; id -u'),
      '--state-dir',
      home.stateDir,
    ];
    const { status, stdout } = await home.run(args, { onlyEnv: { PATH: '/usr/bin:/bin' }, cwd: '/' });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^built nightly \([0-9a-f]{12}\): \S+\n$/u);
    expect(await readLogs(home)).toMatch(/^\S+ {3}HOME=\/root$/mu);
    const quiet = await home.run([...buildArguments('quiet', '--no-ssh'), '--quiet']);
    expect(quiet).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test('a base whose files cannot be looked at is refused, and what is wrong with them told', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    const { rootfs } = await makeBase(home);
    await rm(rootfs);
    await symlink(rootfs, rootfs);
    for (const flags of [[], ['--reproducible'], ['--no-cache']]) {
      const { status, stderr } = await home.run(buildArguments('looped', ...flags));
      expect(status, stderr).toBe(6);
      expect(stderr).toContain(`${rootfs} is a loop of symbolic links`);
    }
    if (account.uid === 0) return;
    const directory = dirname(rootfs);
    await chmod(directory, 0);
    const { status, stderr } = await home.run(buildArguments('closed'));
    await chmod(directory, 0o755);
    expect(status, stderr).toBe(6);
    expect(stderr).toContain('cannot be read by this user');
  });
});

describe.runIf(inject('testRun').root).each(testAccounts())(
  'on a filesystem of its own, as $label',
  (account) => {
    test('that shares extents a base is cloned, and it is said', async ({ makeHome }) => {
      const home = await makeHome(account);
      const xfs = await mountXfs(300, account);
      try {
        const env = await makeBaseOn(home, xfs);
        const { status, stderr, stdout } = await home.run(
          [...buildArguments('cloned', '--run', 'echo new >/new'), '--json'],
          { env },
        );
        expect(status).toBe(0);
        expect(stderr).toContain('launch_builder ...\n  cloned (extents shared)\n');
        const { rootfs_path: rootfs } = JSON.parse(stdout) as BuiltImage;
        const { shared, all } = await extentsOf(rootfs);
        expect(shared).toBeGreaterThan(0);
        expect(all).toBeGreaterThanOrEqual(shared);
        expect(await readGuest(rootfs, '/new')).toBe('new\n');
        await assertSound(env.BANGER_STATE_DIR, { uid: account.uid });
      } finally {
        await xfs.remove();
      }
    });

    test('that cannot share them it is copied, with its holes; a full one fails the build', async ({
      makeHome,
    }) => {
      const home = await makeHome(account);
      const ext4 = await mountExt4(48, account);
      try {
        const env = await makeBaseOn(home, ext4);
        const { status, stderr, stdout } = await home.run(
          [...buildArguments('copied', '--no-ssh'), '--json'],
          { env },
        );
        expect(status).toBe(0);
        expect(stderr).toContain('launch_builder ...\n  copied (this filesystem cannot share extents)\n');
        const { rootfs_path: rootfs } = JSON.parse(stdout) as BuiltImage;
        const { size, blocks } = await stat(rootfs);
        expect(size).toBe(256 * MIB);
        expect(blocks * 512).toBeLessThan(16 * MIB);

        // The guest has room for it, its file has not; a kernel notices long after the step has ended well.
        const images = await readdir(join(env.BANGER_STATE_DIR, 'images'));
        const full = await home.run(
          buildArguments('full', '--no-ssh', '--run', 'busybox head -c 80000000 /dev/urandom >/big'),
          { env },
        );
        expect(full.status).toBe(6);
        expect(full.stderr).toMatch(/rootfs\.ext4: no space left on the filesystem at \/\S+ \(.* left\)\n/u);
        expect(full.stderr).toMatch(/→ make room: .* \(df -h \/\S+\)\n/u);
        expect(await readdir(join(env.BANGER_STATE_DIR, 'images'))).toEqual(images);
        await assertSound(env.BANGER_STATE_DIR, { uid: account.uid });
      } finally {
        await ext4.remove();
      }
    });
  },
);
