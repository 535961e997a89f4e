import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { moduleTreesIn } from '../../../src/lib/image/modules.ts';

let directory = '';

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'banger-modules-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** A tree as depmod leaves one. */
async function makeTree(name: string): Promise<string> {
  const tree = join(directory, name);
  await mkdir(join(tree, 'kernel'), { recursive: true });
  await writeFile(join(tree, 'modules.dep'), '');
  return tree;
}

it('finds the tree that the directory is, by its own name', async () => {
  const tree = await makeTree('6.1.0-9-amd64');
  expect(await moduleTreesIn(tree, '7.0')).toEqual([{ version: '6.1.0-9-amd64', path: tree }]);
});

it('finds it by the version of the kernel where its name tells none', async () => {
  const tree = await makeTree('modules');
  expect(await moduleTreesIn(tree, '6.1.0-9-amd64')).toEqual([{ version: '6.1.0-9-amd64', path: tree }]);
});

it.each([null, '../../etc', '', 'six'])('finds nothing where the kernel says %j', async (version) => {
  expect(await moduleTreesIn(await makeTree('modules'), version)).toEqual([]);
});

it('finds each of several, and nothing that is none', async () => {
  await makeTree('6.1.0-9-amd64');
  await makeTree('7.0');
  await makeTree('backup');
  await writeFile(join(directory, '8.0'), '');
  await symlink('7.0', join(directory, '9.0'));
  const found = await moduleTreesIn(directory, '1.0');
  expect(found.map(({ version }) => version).sort()).toEqual(['6.1.0-9-amd64', '7.0']);
});

it('finds nothing in an empty directory', async () => {
  expect(await moduleTreesIn(directory, '1.0')).toEqual([]);
});
