import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { makeDisk, registerImage } from '../support/boot-files.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';

const { user } = inject('testRun');

interface Diff {
  from: { name: string; rootfs_path: string };
  to: { name: string };
  identical: boolean;
  packages: Record<'added' | 'removed' | 'changed', { name: string }[]>;
  files: Record<'added' | 'removed' | 'changed', { path: string; what?: string[] }[]>;
}

function status(versions: Readonly<Record<string, string>>): string {
  return Object.entries(versions)
    .map(
      ([name, version]) =>
        `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nVersion: ${version}\n`,
    )
    .join('\n');
}

async function registerDisk(
  home: Home,
  name: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const { kernel } = await registerImage(home, `${name}-boot`);
  const rootfs = await makeDisk(home, `${name}-disk.ext4`, files);
  await home.ok(['image', 'register', name, '--rootfs', rootfs, '--kernel', kernel]);
}

const STATUS = 'var/lib/dpkg/status';

describe('a comparison of two images', () => {
  test('tells packages and files, with directories as one line', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerDisk(home, 'old', {
      [STATUS]: status({ curl: '7.1', vim: '9' }),
      'usr/share/doc/vim/README': 'x'.repeat(2048),
      'usr/share/doc/vim/more/copyright': 'y',
      'etc/motd': 'one',
      'etc/issue': 'the same',
    });
    await registerDisk(home, 'new', {
      [STATUS]: status({ curl: '7.2', nginx: '1' }),
      'usr/share/doc/nginx': '\x1b[31m',
      'etc/motd': 'three',
      'etc/issue': 'the same',
      'etc/bad\x1b[2Jname': '',
    });
    expect(await home.ok(['image', 'diff', 'old', 'new'])).toBe(
      `old -> new
packages: 1 added, 1 removed, 1 changed
  ~ curl  7.1 -> 7.2 (all)
  + nginx  1 (all)
  - vim  9 (all)
files: 2 added, 4 removed, 2 changed; 2.0 KiB less
  + /etc/badname  0 B
  ~ /etc/motd  content (3 B -> 5 B)
  + /usr/share/doc/nginx  5 B
  - /usr/share/doc/vim/  3 below it, 2.0 KiB
  ~ /var/lib/dpkg/status  content (146 B -> 148 B)
`,
    );
    const { document } = await home.json<Diff>(['image', 'diff', 'old', 'new']);
    expect(document).toMatchObject({ from: { name: 'old' }, to: { name: 'new' }, identical: false });
    expect(document.files.removed.map(({ path }) => path)).toEqual([
      '/usr/share/doc/vim',
      '/usr/share/doc/vim/README',
      '/usr/share/doc/vim/more',
      '/usr/share/doc/vim/more/copyright',
    ]);
    expect(document.packages.changed).toEqual([
      { name: 'curl', architecture: 'all', from_version: '7.1', to_version: '7.2' },
    ]);
    expect(await home.ok(['image', 'diff', 'old', 'old'])).toBe('old -> old\nno difference\n');
    expect((await home.json<Diff>(['image', 'diff', 'new', 'new'])).document.identical).toBe(true);
  });

  test('says which image cannot be read, and why', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerDisk(home, 'sound', { file: 'text' });
    await registerDisk(home, 'used', { file: 'text' });
    const disk = `${home.directory}/used-disk.ext4`;
    await run('debugfs', ['-w', '-R', 'feature has_journal needs_recovery', disk]);
    expect(await home.fails(6, ['image', 'diff', 'sound', 'used'])).toContain(
      `${disk}: its journal must be replayed before it can be read`,
    );
    for (const command of ['feature -needs_recovery', 'zap_block -f / 0']) {
      await run('debugfs', ['-w', '-R', command, disk]);
    }
    expect(await home.fails(11, ['image', 'diff', 'used', 'sound'])).toContain(`${disk} is damaged: inode 2`);
    expect(await home.fails(3, ['image', 'diff', 'sound', 'none'])).toContain("no image 'none'");
  });
});
