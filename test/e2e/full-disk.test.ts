import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { Ballast } from '../support/ballast.ts';
import { makeBootFiles } from '../support/boot-files.ts';
import { buildArguments, makeBase, untilPrinted } from '../support/builds.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { onDisk } from '../support/disk-home.ts';
import type { MountedFilesystem } from '../support/loop-mount.ts';
import type { Account } from '../support/test-user.ts';
import { mountExt4, mountXfs } from '../support/xfs.ts';

const SIZE_MIB = 64;
/** In blocks of 1 KiB: enough for a byte in each page of SQLite's -shm, and too little for the rest of one page. */
const HOLES_BYTES = 9 * 1024;

/** Registers and promotes, fills the disk, then lists, shows and deletes. */
async function useFull(home: Home, flags: readonly string[], fill: () => Promise<void>): Promise<void> {
  for (const name of ['one', 'two']) await home.ok(['image', 'register', name, ...flags]);
  await home.ok(['image', 'promote', 'one']);
  // Again before each: whatever one leaves for the next may be gone by then.
  await fill();
  expect(await home.ok(['image', 'list', '-q'])).toBe('one\ntwo\n');
  await fill();
  expect(await home.ok(['image', 'show', 'two'])).toContain('two');
  await fill();
  await home.ok(['image', 'delete', 'two']);
  await fill();
  await home.ok(['image', 'delete', 'one']);
  expect(await home.ok(['image', 'list', '-q'])).toBe('');
}

const DISKS: Record<string, (owner: Account) => Promise<MountedFilesystem>> = {
  // Smaller than a page of memory: what mke2fs makes of a small disk (mke2fs.conf(5)).
  'ext4 with blocks of 1 KiB': (owner) => mountExt4(SIZE_MIB, owner, ['-b', '1024']),
  'ext4 with blocks of 4 KiB': (owner) => mountExt4(SIZE_MIB, owner, ['-b', '4096']),
  XFS: (owner) => mountXfs(300, owner),
};

describe.runIf(inject('testRun').root).each(testAccounts())('as $label', (account) => {
  test.each(Object.entries(DISKS))('images are listed, shown and deleted on a full %s', async (_, mount) => {
    const disk = await mount(account);
    await onDisk(disk, account, async (home) => {
      const { flags } = await makeBootFiles(home);
      const ballast = new Ballast(disk, account);
      await useFull(home, flags, () => ballast.leaveBytes(0));
      await ballast.remove();
      await useFull(home, flags, () => ballast.leaveBytes(HOLES_BYTES));
    });
  });

  test('without a reserve, and with as few small blocks as make SQLite write into holes, nothing dies', async () => {
    const disk = await mountExt4(SIZE_MIB, account, ['-b', '1024']);
    await onDisk(disk, account, async (home) => {
      const { flags } = await makeBootFiles(home);
      await home.ok(['image', 'register', 'one', ...flags]);
      const ballast = new Ballast(disk, account);
      for (const args of [['list'], ['delete', 'one']]) {
        for (const name of await readdir(home.stateDir)) {
          if (name.startsWith('reserve')) await rm(join(home.stateDir, name));
        }
        await ballast.leaveBytes(HOLES_BYTES);
        expect(await home.fails(6, ['image', ...args])).toContain(
          `error: registry: no space left on the filesystem at ${disk.directory} (`,
        );
      }
      await ballast.remove();
      await home.ok(['image', 'delete', 'one']);
    });
  });

  test('images are listed, shown and deleted where hardly an inode is free', async () => {
    const disk = await mountExt4(SIZE_MIB, account, ['-N', '96']);
    await onDisk(disk, account, async (home) => {
      const { flags } = await makeBootFiles(home);
      const ballast = new Ballast(disk, account);
      for (const left of [0, 1]) {
        await useFull(home, flags, () => ballast.leaveInodes(left));
        await ballast.remove();
      }
    });
  });

  test('images are listed, shown and deleted on a full disk while a build runs there', async () => {
    const disk = await mountExt4(SIZE_MIB, account, ['-b', '1024']);
    await onDisk(disk, account, async (home) => {
      const { rootfs, kernel } = await makeBase(home);
      const flags = ['--rootfs', rootfs, '--kernel', kernel];
      const building = home.start(buildArguments('three', '--run', 'echo "in $((1+1)) steps"; sleep 3600'));
      await untilPrinted(home, 'in 2 steps');
      const ballast = new Ballast(disk, account);
      for (const name of ['one', 'two']) await home.ok(['image', 'register', name, ...flags]);
      // Another's -shm is taken as it is, holes and all.
      await ballast.leaveBytes(0);
      expect(await home.ok(['image', 'list', '-q'])).toBe('base\none\ntwo\n');
      await ballast.leaveBytes(0);
      await home.ok(['image', 'delete', 'one']);
      await ballast.leaveBytes(0);
      await home.ok(['image', 'rename', 'two', 'four']);
      await ballast.leaveBytes(0);
      building.kill('SIGTERM');
      expect((await building.result).status).toBe(143);
      expect(await home.ok(['image', 'list', '-q'])).toBe('base\nfour\n');
    });
  });
});
