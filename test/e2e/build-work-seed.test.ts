import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { build, failToBuild, makeBase, readLogs } from '../support/builds.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { changeGuest, listGuest, readGuest, statGuest } from '../support/guest-files.ts';

const MIB = 2 ** 20;
const LONG = 'n'.repeat(255);

describe.each(testAccounts())('as $label', (account) => {
  test('the work seed is /root as the steps left it', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs } = await makeBase(home);
    await changeGuest(
      rootfs,
      'ea_set /root/.profile user.note remembered',
      `ea_set /root/.profile user.long ${'x'.repeat(200)}`,
    );
    const image = await build(home, 'seeded', [
      ...[
        '--run',
        'cd /root; mkdir -p deep/er open; echo hi >file; ln file deep/link; chown 1000:42 file; chmod 4755 file',
      ],
      ...[
        '--run',
        'cd /root; chmod 1777 open; chown 33:33 deep; busybox mkfifo pipe; ln -s /etc/passwd absolute; ln -s ../../etc up',
      ],
      ...[
        '--run',
        `cd /root; echo long >${LONG}; echo odd >"$(printf 'new\\nline')"; busybox truncate -s 100M sparse`,
      ],
      ...['--run', 'rm /root/.profile.gone 2>/dev/null; echo outside >/elsewhere'],
    ]);
    const seed = image.work_seed_path;
    expect(await statGuest(seed, '/')).toMatchObject({ type: 'directory', mode: 0o700, uid: 0, gid: 0 });
    expect(await listGuest(seed, '/')).toEqual(
      [
        '.profile',
        '.ssh',
        'absolute',
        'deep',
        'file',
        'lost+found',
        'new\nline',
        LONG,
        'open',
        'pipe',
        'sparse',
        'up',
      ].sort(),
    );
    const file = await statGuest(seed, '/file');
    expect(file).toMatchObject({ type: 'regular', mode: 0o4755, uid: 1000, gid: 42, links: 2, size: 3 });
    expect((await statGuest(seed, '/deep/link'))?.inode).toBe(file?.inode);
    expect(await statGuest(seed, '/deep')).toMatchObject({ uid: 33, gid: 33 });
    expect(await statGuest(seed, '/open')).toMatchObject({ type: 'directory', mode: 0o1777, uid: 0 });
    expect(await statGuest(seed, '/pipe')).toMatchObject({ type: 'FIFO' });
    expect(await statGuest(seed, '/absolute')).toMatchObject({ type: 'symlink', size: 11 });
    expect(await statGuest(seed, '/up')).toMatchObject({ type: 'symlink', size: 9 });
    expect(await statGuest(seed, '/.profile')).toMatchObject({ xattrs: ['user.note', 'user.long'] });
    expect(await readGuest(seed, '/.profile')).toBe('PS1="# "\n');
    expect(await readGuest(seed, `/${LONG}`)).toBe('long\n');
    expect((await readGuest(seed, '/.ssh/authorized_keys')).trim()).toBe(
      readFileSync(join(home.directory, '.config/banger/id_ed25519.pub'), 'utf8').trim(),
    );
    expect(statSync(seed).size).toBe(512 * MIB);
    expect(statSync(seed).blocks * 512).toBeLessThan(4 * MIB);
    expect(
      readFileSync(seed)
        .subarray(1024 + 0x78, 1024 + 0x88)
        .toString()
        .replaceAll('\0', ''),
    ).toBe('work-seed');
  });

  test('what is in the work seed has room in it, however much and however many', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    // More than the 32,768 inodes that are usual for such a size; mke2fs is slow where one directory has them all.
    const directories = account.uid === 0 ? 33 : 1;
    const image = await build(home, 'large', [
      ...['--size', '512M', '--no-ssh'],
      ...['--run', 'busybox fallocate -l 322M /root/big'],
      ...[
        '--run',
        `cd /root; for d in $(busybox seq ${directories}); do mkdir d$d; cd d$d; busybox seq 1000 | busybox xargs touch; cd ..; done`,
      ],
    ]);
    // With the directories it is more than 576 - 256 MiB.
    expect(statSync(image.work_seed_path).size).toBe(640 * MIB);
    expect(await statGuest(image.work_seed_path, `/d${directories}/1000`)).toMatchObject({
      type: 'regular',
      size: 0,
    });
  });

  test('a /root that is a link or is not there gives an empty work seed, with nothing of the host', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    await makeBase(home);
    await home.write('outside/secret', 'of the host');
    const leads = [`ln -s ${home.directory}/outside /root`, 'ln -s ../../../../etc /root', ':'];
    for (const [index, lead] of (account.uid === 0 ? leads : leads.slice(0, 1)).entries()) {
      const image = await build(home, `empty${index}`, ['--run', `rm -r /root; ${lead}`]);
      expect([lead, await listGuest(image.work_seed_path, '/')]).toEqual([lead, ['.ssh', 'lost+found']]);
    }
    const linked = await failToBuild(home, 'linked', ['--run', 'ln -s /etc /root/.ssh']);
    expect(linked).toMatchObject({
      code: 'preflight_failed',
      exit_code: 6,
      message: expect.stringContaining('/.ssh is a symbolic link'),
    });
    expect(await readLogs(home)).not.toContain('of the host');
  });
});
