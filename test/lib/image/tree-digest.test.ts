import {
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { withVolume } from '../../../src/lib/ext4/volume.ts';
import { sourceDate } from '../../../src/lib/image/source-date.ts';
import { digestTree } from '../../../src/lib/image/tree-digest.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(join(tmpdir(), 'tree-digest-'));
const tree = join(directory, 'tree');
const image = join(directory, 'image');
/** When the tree is from, in seconds since 1970. */
const WRITTEN = 1_700_000_000;

async function make(from: string, ...options: string[]): Promise<void> {
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', ...options, '-d', from, image, '16M']);
}

function digest(newest: number | null = null): Promise<string> {
  return withVolume(image, (volume) => digestTree(volume, { newest }));
}

beforeAll(() => {
  mkdirSync(join(tree, 'd/e'), { recursive: true });
  for (const [name, content] of [
    ['a', 'content'],
    ['b', 'content'],
    ['d/e/f', 'x'.repeat(200_000)],
    ['holes', ''],
  ] as const) {
    writeFileSync(join(tree, name), content);
  }
  truncateSync(join(tree, 'holes'), 400_000);
  linkSync(join(tree, 'a'), join(tree, 'd/a'));
  symlinkSync('a', join(tree, 'link'));
  for (const name of ['a', 'b', 'd/e/f', 'd/e', 'd', 'holes', ''])
    utimesSync(join(tree, name), WRITTEN, WRITTEN);
});
afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => vi.unstubAllEnvs());

test('is the same wherever files lie, and whenever they were written', async () => {
  await make(tree);
  const first = await digest();
  expect(first).toMatch(/^[0-9a-f]{64}$/u);
  const again = join(directory, 'again');
  await run('cp', ['--recursive', '--preserve=links', '--no-dereference', tree, again]);
  writeFileSync(join(again, 'holes'), Buffer.alloc(400_000));
  await make(again, '-b', '1024', '-O', '^extents,^64bit,^has_journal', '-U', 'random');
  expect(await digest()).toBe(first);
  // Another filesystem made of the same is checked to be another file.
  await run('debugfs', ['-w', '-R', 'rmdir /lost+found', image]);
  expect(await digest()).toBe(first);
});

describe('is another one when', () => {
  test.for<[what: string, ...commands: string[]]>([
    ['a file has another name', 'ln /b /c', 'unlink /b'],
    ['a mode is another', 'set_inode_field /b mode 0100600'],
    ['an owner is another', 'set_inode_field /b gid 70000'],
    ['a link says something else', 'rm /link', 'symlink /link b'],
    ['there is an attribute more', 'ea_set /b user.a b'],
    ['there is a directory more', 'mkdir /empty'],
    ['there is a device more', 'mknod null c 1 3'],
    [
      'two names are of two files',
      'unlink /d/a',
      'write a /d/a',
      'set_inode_field /d/a mode 0100644',
      'set_inode_field /a links_count 1',
    ],
    ['two names are of one file', 'unlink /b', 'ln /a /b', 'set_inode_field /a links_count 3'],
    ['a file is longer by a zero', 'set_inode_field /holes size 400001'],
    ['content becomes zeros', 'punch /d/e/f 10 12'],
  ])('%s', async ([, ...commands]) => {
    await make(tree);
    const before = await digest();
    for (const command of commands) {
      await run('debugfs', ['-w', '-R', command, image], { cwd: tree });
    }
    const outcome = await digest().catch((error: unknown) => String(error));
    expect(outcome).not.toBe(before);
  });
});

describe('times', () => {
  test('count up to the one that is given', async () => {
    const rebuilt = join(directory, 'rebuilt');
    cpSync(tree, rebuilt, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    rmSync(join(rebuilt, 'd/a'));
    linkSync(join(rebuilt, 'a'), join(rebuilt, 'd/a'));
    const digestOf = async (from: string, newest: number | null): Promise<string> => {
      await make(from);
      return digest(newest);
    };
    const touch = (seconds: number): void => {
      for (const name of ['d', '']) utimesSync(join(rebuilt, name), WRITTEN, WRITTEN);
      utimesSync(join(rebuilt, 'b'), seconds, seconds);
    };
    touch(WRITTEN + 5000);
    const later = WRITTEN + 1000;
    const first = await digestOf(rebuilt, later);
    touch(WRITTEN + 9000);
    expect(await digestOf(rebuilt, later)).toBe(first);
    touch(WRITTEN + 500);
    expect(await digestOf(rebuilt, later)).not.toBe(first);
    expect(await digestOf(rebuilt, null)).toBe(await digestOf(tree, null));
  });

  test('are given by SOURCE_DATE_EPOCH, or not at all', () => {
    vi.stubEnv('SOURCE_DATE_EPOCH', '');
    expect(sourceDate()).toBeNull();
    vi.stubEnv('SOURCE_DATE_EPOCH', '1700000000');
    expect(sourceDate()).toBe(1_700_000_000);
    for (const bad of ['now', '-1', '1.5', '253402300800']) {
      vi.stubEnv('SOURCE_DATE_EPOCH', bad);
      expect(() => sourceDate()).toThrow(/not a number of seconds since 1970/u);
    }
  });
});
