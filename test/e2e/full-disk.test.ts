import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { Ballast } from '../support/ballast.ts';
import { makeBootFiles } from '../support/boot-files.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import type { MountedFilesystem } from '../support/loop-mount.ts';
import type { Account } from '../support/test-user.ts';
import { assertSound } from '../support/verifier.ts';
import { mountExt4, mountXfs } from '../support/xfs.ts';

const KIB = 1024;

interface Disk {
  mount(owner: Account): Promise<MountedFilesystem>;
  /** What is left of it, in KiB: nothing, and too little for all of SQLite's -shm. */
  left: readonly number[];
}

const DISKS: Record<string, Disk> = {
  // Smaller than a page of memory: what mke2fs makes of a small disk (mke2fs.conf(5)).
  'ext4 with blocks of 1 KiB': {
    mount: (owner) => mountExt4(64, owner, ['-b', '1024']),
    left: [0, 28],
  },
  'ext4 with blocks of 4 KiB': { mount: (owner) => mountExt4(64, owner, ['-b', '4096']), left: [0] },
  XFS: { mount: (owner) => mountXfs(300, owner), left: [0] },
};

describe.runIf(inject('testRun').root).each(testAccounts())('as $label', (account) => {
  describe.each(Object.entries(DISKS))('on %s', (_, { mount, left: all }) => {
    test('images are listed, shown and deleted where hardly a block is free', async ({ makeHome }) => {
      const home = await makeHome(account);
      const disk = await mount(account);
      try {
        const ballast = new Ballast(disk, account);
        const env = { BANGER_STATE_DIR: join(disk.directory, 'state') };
        const { flags } = await makeBootFiles(home);
        for (const left of all) {
          await ballast.remove();
          for (const name of ['one', 'two']) await home.ok(['image', 'register', name, ...flags], { env });
          await home.ok(['image', 'promote', 'one'], { env });
          // Again before each: whatever one gives back for another may be gone by then.
          await ballast.leaveBytes(left * KIB);
          expect(await home.ok(['image', 'list', '-q'], { env }), `${left} KiB`).toBe('one\ntwo\n');
          await ballast.leaveBytes(left * KIB);
          expect(await home.ok(['image', 'show', 'two'], { env })).toContain('two');
          await ballast.leaveBytes(left * KIB);
          await home.ok(['image', 'delete', 'two'], { env });
          await ballast.leaveBytes(left * KIB);
          await home.ok(['image', 'delete', 'one'], { env });
          expect(await home.ok(['image', 'list', '-q'], { env })).toBe('');
        }
        await assertSound(env.BANGER_STATE_DIR, { uid: account.uid });
      } finally {
        await disk.remove();
      }
    });
  });

  test('images are listed, shown and deleted where hardly an inode is free', async ({ makeHome }) => {
    const home = await makeHome(account);
    const disk = await mountExt4(64, account, ['-N', '96']);
    try {
      const ballast = new Ballast(disk, account);
      const env = { BANGER_STATE_DIR: join(disk.directory, 'state') };
      const { flags } = await makeBootFiles(home);
      for (const left of [0, 1]) {
        await ballast.remove();
        for (const name of ['one', 'two']) await home.ok(['image', 'register', name, ...flags], { env });
        await home.ok(['image', 'promote', 'one'], { env });
        await ballast.leaveInodes(left);
        expect(await home.ok(['image', 'list', '-q'], { env }), `${left} inodes`).toBe('one\ntwo\n');
        await ballast.leaveInodes(left);
        expect(await home.ok(['image', 'show', 'two'], { env })).toContain('two');
        await ballast.leaveInodes(left);
        await home.ok(['image', 'delete', 'two'], { env });
        await ballast.leaveInodes(left);
        await home.ok(['image', 'delete', 'one'], { env });
        expect(await home.ok(['image', 'list', '-q'], { env })).toBe('');
      }
      await assertSound(env.BANGER_STATE_DIR, { uid: account.uid });
    } finally {
      await disk.remove();
    }
  });
});
