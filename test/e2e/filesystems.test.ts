import { chown, readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { Ballast } from '../support/ballast.ts';
import { registerImage } from '../support/boot-files.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { fakeBzImage } from '../support/images.ts';
import type { MountedFilesystem } from '../support/loop-mount.ts';
import { hashOf } from '../support/source.ts';
import { assertSound } from '../support/verifier.ts';
import { mountExt4, mountXfs } from '../support/xfs.ts';

const MIB = 1024 * 1024;

interface Promoted {
  status: number;
  stderr: string;
  copy: string;
  /** Bytes that the promote took from the filesystem. */
  taken: number;
}

async function freeBytes(directory: string): Promise<number> {
  await run('sync', ['-f', directory]);
  const { bfree, bsize } = await statfs(directory);
  return bfree * bsize;
}

/** Writes random bytes into a file, from and of so many MiB; grows it where it must. */
async function overwrite(path: string, fromMiB: number, countMiB: number): Promise<void> {
  const where = [`of=${path}`, `seek=${fromMiB}`, `count=${countMiB}`, 'bs=1M', 'conv=notrunc'];
  await run('dd', ['if=/dev/urandom', ...where, 'status=none']);
}

/** Promotes a rootfs of 64 MiB, 16 MiB of it data and the rest a hole, from and to one filesystem. */
async function promoteOn({ directory }: MountedFilesystem, home: Home): Promise<Promoted> {
  const env = { BANGER_STATE_DIR: join(directory, 'state') };
  const rootfs = join(directory, 'big.ext4');
  await run('mke2fs', ['-q', '-F', ...['-t', 'ext4'], ...['-E', 'root_owner=0:0'], rootfs, '64M']);
  // Data in the middle of a hole, where mke2fs keeps nothing.
  await overwrite(rootfs, 20, 16);
  await chown(rootfs, home.account.uid, home.account.gid);
  const kernel = await home.write('kernel', fakeBzImage());
  await home.ok(['image', 'register', 'one', '--rootfs', rootfs, '--kernel', kernel], { env });
  const before = await freeBytes(directory);
  const { status, stderr } = await home.run(['image', 'promote', 'one'], { env });
  const taken = before - (await freeBytes(directory));
  await assertSound(env.BANGER_STATE_DIR, { uid: home.account.uid });
  const { document } = await home.json<{ rootfs_path: string }>(['image', 'show', 'one'], { env });
  expect(await hashOf(document.rootfs_path)).toBe(await hashOf(rootfs));
  return { status, stderr, copy: document.rootfs_path, taken };
}

describe.runIf(inject('testRun').root).each(testAccounts())('promote as $label', (account) => {
  test('on a filesystem that shares extents clones, and says so', async ({ makeHome }) => {
    const home = await makeHome(account);
    const xfs = await mountXfs(300, account);
    try {
      const { status, stderr, copy, taken } = await promoteOn(xfs, home);
      expect(status).toBe(0);
      expect(stderr).toContain('copy_rootfs ...\n  cloned (extents shared)\n');
      const { stdout } = await run('filefrag', ['-v', copy]);
      const extents = stdout.split('\n').filter((line) => /^\s+\d+:/u.test(line));
      expect(extents.length).toBeGreaterThan(0);
      expect(extents.filter((line) => !line.includes('shared'))).toEqual([]);
      expect(taken).toBeLessThan(4 * MIB);
    } finally {
      await xfs.remove();
    }
  });

  test('on one that cannot copies, says so, and keeps the holes', async ({ makeHome }) => {
    const home = await makeHome(account);
    const ext4 = await mountExt4(200, account);
    try {
      const { status, stderr, copy, taken } = await promoteOn(ext4, home);
      expect(status).toBe(0);
      expect(stderr).toContain('copy_rootfs ...\n  copied (this filesystem cannot share extents)\n');
      const { size, blocks } = await stat(copy);
      expect(size).toBe(64 * MIB);
      expect(blocks * 512).toBeLessThan(26 * MIB);
      expect(taken).toBeLessThan(26 * MIB);
    } finally {
      await ext4.remove();
    }
  });

  test('on one without enough space fails and leaves nothing; list and delete go on', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    // Large enough for blocks of 4 KiB (mke2fs.conf(5)).
    const small = await mountExt4(520, account);
    try {
      const env = { BANGER_STATE_DIR: join(small.directory, 'state') };
      const { rootfs, flags } = await registerImage(home, 'one');
      await overwrite(rootfs, 7, 40);
      await home.ok(['image', 'register', 'one', ...flags], { env });
      const ballast = new Ballast(small, account);
      await ballast.leaveBytes(20 * MIB);
      // Before anything is copied: no stage is told.
      expect(await home.fails(6, ['image', 'promote', 'one'], { env })).toMatch(
        /^error: promote one: 4\d(?:\.\d)? MiB are wanted on the filesystem at \S+ \(.* MiB and \d+ inodes left\)\n {2}→ make room: banger cache prune, banger trash empty, or banger image delete --purge NAME \(df -h .*\)\n$/u,
      );
      expect(await readdir(join(env.BANGER_STATE_DIR, 'images'))).toEqual([]);
      await ballast.leaveBytes(0);
      expect(await home.ok(['image', 'list', '-q'], { env })).toBe('one\n');
      await home.ok(['image', 'delete', 'one'], { env });
      expect(await home.ok(['image', 'list', '-q'], { env })).toBe('');
      await assertSound(env.BANGER_STATE_DIR, { uid: account.uid });
    } finally {
      await small.remove();
    }
  });
});
