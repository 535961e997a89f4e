import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { changedInodes } from '../../../src/lib/ext4/changed-inodes.ts';
import { directoryEntries, ROOT_INODE } from '../../../src/lib/ext4/directory.ts';
import { directoryPath } from '../../../src/lib/ext4/directory-path.ts';
import type { Inode } from '../../../src/lib/ext4/inode.ts';
import { Volume } from '../../../src/lib/ext4/volume.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(join(tmpdir(), 'inode-volume-'));
const tree = join(directory, 'tree');
const image = join(directory, 'image');
const CROWD = 400;
const isRoot = process.getuid?.() === 0;

beforeAll(() => {
  mkdirSync(join(tree, 'crowded'), { recursive: true });
  // Names so long that their directory needs many blocks, and indirect ones where there are no extents.
  for (let index = 0; index < CROWD; index += 1) {
    writeFileSync(join(tree, 'crowded', `${index}-${'x'.repeat(200)}`), '');
  }
  mkdirSync(join(tree, 'a/b/c/d'), { recursive: true });
  writeFileSync(join(tree, 'a/b/file'), 'content\n'.repeat(2000));
  symlinkSync('b/file', join(tree, 'a/link'));
  chmodSync(join(tree, 'a/b/c'), 0o2750);
  chmodSync(join(tree, 'a/b/file'), 0o4711);
  if (isRoot) chownSync(join(tree, 'a/b/c'), 70_000, 80_000);
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Everything in an image by path, as this code reads it. */
function readAll(volume: Volume, inode = volume.inode(ROOT_INODE), path = ''): Map<string, Inode> {
  const found = new Map([[path, inode]]);
  for (const entry of directoryEntries(volume, inode)) {
    const name = entry.name.toString();
    if (name === '.' || name === '..') continue;
    const child = volume.inode(entry.inode);
    const below = path === '' ? name : `${path}/${name}`;
    if (child.type === 'directory')
      for (const [key, value] of readAll(volume, child, below)) found.set(key, value);
    else found.set(below, child);
  }
  return found;
}

describe.each([
  { options: ['-b', '4096', '-I', '256'], created: true },
  { options: ['-b', '1024', '-I', '256', '-O', '64bit,metadata_csum'], created: true },
  { options: ['-b', '1024', '-I', '128', '-O', '^64bit,^metadata_csum'], created: false },
  { options: ['-b', '1024', '-O', '^extents,^64bit,^metadata_csum,^flex_bg,^dir_index'], created: true },
])('an image of $options', ({ options, created }) => {
  let volume: Volume;

  beforeAll(async () => {
    writeFileSync(image, '');
    truncateSync(image, 64 * 1024 * 1024);
    await run('mke2fs', ['-q', '-F', '-t', 'ext4', ...options, '-d', tree, image]);
    volume = new Volume(image);
  });
  afterAll(() => volume.close());

  it('is read as the tree it was made from', () => {
    const all = readAll(volume);
    const names = readdirSync(tree, { recursive: true }) as string[];
    expect([...all.keys()].sort()).toEqual(['', 'lost+found', ...names].sort());
    for (const name of names) {
      const stats = lstatSync(join(tree, name));
      const { mode, uid, gid, modified, size, type } = all.get(name) ?? volume.inode(ROOT_INODE);
      expect({ name, mode, uid, gid }).toEqual({
        name,
        mode: stats.mode & 0o7777,
        uid: stats.uid,
        gid: stats.gid,
      });
      if (type === 'file') expect({ name, size }).toEqual({ name, size: stats.size });
      expect(Math.abs(modified - stats.mtimeMs)).toBeLessThan(1000);
    }
    expect(all.get('a/b/file')?.created === null).toBe(!created);
  });

  it('finds every inode by the time of its change', () => {
    const numbers = [...changedInodes(volume, Number.NEGATIVE_INFINITY)].map(({ number }) => number);
    const named = [...readAll(volume).values()].map(({ number }) => number);
    expect(numbers).toEqual(expect.arrayContaining(named));
    // Besides those with a name: the journal, the resize inode and their like, all below 11 (special_inodes.rst).
    expect(numbers.filter((number) => number > 11)).toHaveLength(new Set(named.filter((n) => n > 11)).size);
    expect([...changedInodes(volume, Date.now() + 10_000)]).toEqual([]);
    const privileged = [...changedInodes(volume, Number.NEGATIVE_INFINITY, (mode) => (mode & 0o6000) !== 0)];
    expect(privileged.map(({ mode }) => mode.toString(8)).sort()).toEqual(['2750', '4711']);
  });

  it('tells the path of a directory', () => {
    const number = readAll(volume).get('a/b/c/d')?.number ?? 0;
    expect(directoryPath(volume, number).toString()).toBe('a/b/c/d');
    expect(directoryPath(volume, ROOT_INODE).toString()).toBe('');
  });
});

it('refuses what is no such image', () => {
  writeFileSync(image, Buffer.alloc(4096));
  expect(() => new Volume(image)).toThrow(/no usable ext4/u);
  expect(() => new Volume(directory)).toThrow(/a directory/u);
});
