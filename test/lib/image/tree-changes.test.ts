import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withVolume } from '../../../src/lib/ext4/volume.ts';
import { compareTrees, type TreeChanges } from '../../../src/lib/image/tree-changes.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(join(tmpdir(), 'tree-changes-'));
const before = join(directory, 'before.ext4');
const after = join(directory, 'after.ext4');

async function make(tree: string, image: string, ...options: string[]): Promise<void> {
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', ...options, '-d', tree, image, '16M']);
}

async function debugfs(...commands: string[]): Promise<void> {
  for (const command of commands) await run('debugfs', ['-w', '-R', command, after]);
}

function compare(): Promise<TreeChanges> {
  return withVolume(before, (a) => withVolume(after, (b) => compareTrees(a, b)));
}

const tree = join(directory, 'tree');

beforeAll(async () => {
  mkdirSync(join(tree, 'etc/conf.d'), { recursive: true });
  writeFileSync(join(tree, 'etc/conf.d/one'), 'one');
  writeFileSync(join(tree, 'etc/conf'), 'conf');
  writeFileSync(join(tree, 'etc/same'), 'same');
  writeFileSync(join(tree, 'sparse'), '');
  truncateSync(join(tree, 'sparse'), 500_000);
  symlinkSync('same', join(tree, 'etc/link'));
  await make(tree, before);
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('images of the same content', () => {
  test('are no different for being laid out in another way, at another time', async () => {
    const written = join(directory, 'written');
    cpSync(tree, written, { recursive: true, verbatimSymlinks: true });
    writeFileSync(join(written, 'sparse'), Buffer.alloc(500_000));
    await make(written, after, '-b', '1024', '-O', '^extents,^64bit');
    expect(await compare()).toMatchObject({ added: [], removed: [], changed: [] });
  });
});

describe('a change is told', () => {
  beforeAll(() => make(tree, after));

  test.for<
    [what: string, changes: string[], expected: Partial<Record<'added' | 'removed' | 'changed', unknown[]>>]
  >([
    [
      'of content, at the same size and with the same times',
      [
        'dump /etc/same /dev/null',
        'rm /etc/same',
        `write ${join(directory, 'other')} /etc/same`,
        'set_inode_field /etc/same mtime 0',
      ],
      {
        changed: [
          {
            path: '/etc/same',
            type: 'file',
            size: 4,
            what: ['content'],
            type_before: 'file',
            size_before: 4,
          },
        ],
      },
    ],
    [
      'of size',
      ['rm /etc/conf', `write ${join(directory, 'other-longer')} /etc/conf`],
      { changed: [{ path: '/etc/conf', what: ['content'], size: 9, size_before: 4 }] },
    ],
    [
      'of mode, owner and attributes together',
      ['set_inode_field /etc mode 040700', 'set_inode_field /etc uid 7', 'ea_set /etc user.a b'],
      { changed: [{ path: '/etc', what: ['mode', 'owner', 'xattrs'], size: null }] },
    ],
    [
      'of what a link says',
      ['rm /etc/link', 'symlink /etc/link conf'],
      { changed: [{ path: '/etc/link', what: ['target'] }] },
    ],
    ['of a device', ['mknod tty c 5 1'], { added: [{ path: '/tty', type: 'char', size: null }] }],
    [
      'of type, and with it of what is below',
      ['rm /etc/conf.d/one', 'rmdir /etc/conf.d', 'symlink /etc/conf.d elsewhere'],
      {
        removed: [{ path: '/etc/conf.d/one', type: 'file', size: 3 }],
        changed: [{ path: '/etc/conf.d', what: ['type', 'mode'], type_before: 'directory', type: 'symlink' }],
      },
    ],
    [
      'of names that sort beside a directory',
      ['mkdir /etc/conf.d-', 'mkdir /etc/conf.d.x', 'rm /etc/conf'],
      {
        added: [{ path: '/etc/conf.d-' }, { path: '/etc/conf.d.x' }],
        removed: [{ path: '/etc/conf' }],
      },
    ],
  ])('%s', async ([, changes, expected]) => {
    writeFileSync(join(directory, 'other'), 'SAME');
    writeFileSync(join(directory, 'other-longer'), 'nine byte');
    await make(tree, after);
    await debugfs(...changes);
    // debugfs makes files that nobody may read.
    for (const path of ['/etc/same', '/etc/conf']) {
      if (changes.some((one) => one.startsWith('write') && one.endsWith(path)))
        await debugfs(`set_inode_field ${path} mode 0100644`);
    }
    expect(await compare()).toMatchObject({ added: [], removed: [], changed: [], ...expected });
  });
});
