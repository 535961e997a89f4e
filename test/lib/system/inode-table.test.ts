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
import {
  directoryEntries,
  directoryPath,
  ROOT_INODE,
  readFileAt,
} from '../../../src/lib/system/directory-entries.ts';
import { InodeTable, type TableInode } from '../../../src/lib/system/inode-table.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(join(tmpdir(), 'inode-table-'));
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
function readAll(table: InodeTable, inode = table.inode(ROOT_INODE), path = ''): Map<string, TableInode> {
  const found = new Map([[path, inode]]);
  for (const entry of directoryEntries(table, inode)) {
    const name = entry.name.toString();
    if (name === '.' || name === '..') continue;
    const child = table.inode(entry.inode);
    const below = path === '' ? name : `${path}/${name}`;
    if (child.type === 'directory')
      for (const [key, value] of readAll(table, child, below)) found.set(key, value);
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
  let table: InodeTable;

  beforeAll(async () => {
    writeFileSync(image, '');
    truncateSync(image, 64 * 1024 * 1024);
    await run('mke2fs', ['-q', '-F', '-t', 'ext4', ...options, '-d', tree, image]);
    table = new InodeTable(image);
  });
  afterAll(() => table.close());

  it('is read as the tree it was made from', () => {
    const all = readAll(table);
    const names = readdirSync(tree, { recursive: true }) as string[];
    expect([...all.keys()].sort()).toEqual(['', 'lost+found', ...names].sort());
    for (const name of names) {
      const stats = lstatSync(join(tree, name));
      const { mode, uid, gid, modified, size, type } = all.get(name) ?? table.inode(ROOT_INODE);
      expect({ name, mode, uid, gid }).toEqual({
        name,
        mode: stats.mode & 0o7777,
        uid: stats.uid,
        gid: stats.gid,
      });
      if (type === 'regular') expect({ name, size }).toEqual({ name, size: stats.size });
      expect(Math.abs(modified - stats.mtimeMs)).toBeLessThan(1000);
    }
    expect(table.hasCreationTimes).toBe(created);
    expect(all.get('a/b/file')?.created === null).toBe(!created);
  });

  it('finds every inode by the time of its change', () => {
    const numbers = [...table.changedSince(Number.NEGATIVE_INFINITY)].map(({ number }) => number);
    const named = [...readAll(table).values()].map(({ number }) => number);
    expect(numbers).toEqual(expect.arrayContaining(named));
    // Besides those with a name: the journal, the resize inode and their like, all below 11 (special_inodes.rst).
    expect(numbers.filter((number) => number > 11)).toHaveLength(new Set(named.filter((n) => n > 11)).size);
    expect([...table.changedSince(Date.now() + 10_000)]).toEqual([]);
    const privileged = [...table.changedSince(Number.NEGATIVE_INFINITY, (mode) => (mode & 0o6000) !== 0)];
    expect(privileged.map(({ mode }) => mode.toString(8)).sort()).toEqual(['2750', '4711']);
  });

  it('tells the path of a directory, and what is in a file', () => {
    const number = readAll(table).get('a/b/c/d')?.number ?? 0;
    expect(directoryPath(table, number).toString()).toBe('a/b/c/d');
    expect(directoryPath(table, ROOT_INODE).toString()).toBe('');
    expect(readFileAt(table, ['a', 'b', 'file'], 1e6)?.toString()).toBe('content\n'.repeat(2000));
    expect(readFileAt(table, ['a', 'b', 'file'], 10)?.toString()).toBe('content\nco');
    expect(readFileAt(table, ['a', 'link'], 10)).toBeNull();
    expect(readFileAt(table, ['a', 'none', 'file'], 10)).toBeNull();
  });
});

it('refuses what is no such image', () => {
  writeFileSync(image, Buffer.alloc(4096));
  expect(() => new InodeTable(image)).toThrow(/no usable ext4/u);
  expect(() => new InodeTable(directory)).toThrow(/a directory/u);
});
