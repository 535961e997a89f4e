import { copyFile, mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { extentsOf, lengthOf, lengthWithout } from '../../../src/lib/system/extents.ts';
import { run } from '../../../src/lib/system/process.ts';
import { mountXfs } from '../../support/xfs.ts';

const MIB = 2 ** 20;

/** What a file shares with no other one, in bytes; null where the filesystem cannot say. */
async function ownBytes(path: string): Promise<number | null> {
  const extents = await extentsOf(path);
  return extents && lengthOf(extents.filter(({ shared }) => !shared));
}

test.runIf(inject('testRun').root)('what a file shares with a clone is not its own', async () => {
  const xfs = await mountXfs(300);
  try {
    const [one, two] = [join(xfs.directory, 'one'), join(xfs.directory, 'two')];
    await writeFile(one, Buffer.alloc(4 * MIB, 1));
    await truncate(one, 64 * MIB);
    await run('sync', ['-f', xfs.directory]);
    // A hole takes nothing.
    expect(await ownBytes(one)).toBe(4 * MIB);
    await run('cp', ['--reflink=always', one, two]);
    const file = await open(two, 'r+');
    await file.write(Buffer.alloc(MIB, 2), 0, MIB, MIB);
    await file.sync();
    await file.close();
    expect([await ownBytes(one), await ownBytes(two)]).toEqual([MIB, MIB]);
    const [ofOne, ofTwo] = [(await extentsOf(one)) ?? [], (await extentsOf(two)) ?? []];
    expect(lengthOf(ofTwo.filter(({ shared }) => shared))).toBe(3 * MIB);
    expect(lengthOf([...ofOne, ...ofTwo])).toBe(5 * MIB);
    expect(lengthWithout(ofOne, ofTwo)).toBe(MIB);
  } finally {
    await xfs.remove();
  }
});

test('where the filesystem cannot say there is no answer', async () => {
  const directory = await mkdtemp('/dev/shm/banger-extents-');
  try {
    const path = join(directory, 'file');
    await writeFile(path, Buffer.alloc(MIB, 1));
    expect(await extentsOf(path)).toBeNull();
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('names that a tool could take for an option, or a line break for a line', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'banger-extents-'));
  try {
    const path = join(
      directory,
      '-v\n   0:        0..    4095:      98304..    102399:   4096:             last\nx',
    );
    await copyFile('/bin/true', path);
    await run('sync', ['-f', directory]);
    const plain = join(directory, 'plain');
    await copyFile('/bin/true', plain);
    await run('sync', ['-f', directory]);
    expect(await ownBytes(path)).toBe(await ownBytes(plain));
  } finally {
    await rm(directory, { recursive: true });
  }
});
