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

test('a name that could be taken for an option is none, and of one with line breaks there is no answer', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'banger-extents-'));
  try {
    const [plain, dashed] = [join(directory, 'plain'), join(directory, '-v')];
    // Its lines would be lines of the tool's answer.
    const broken = join(
      directory,
      'x\n   0:        0..    4095:      98304..    102399:   4096:             last\nx',
    );
    for (const path of [plain, dashed, broken]) await copyFile('/bin/true', path);
    await run('sync', ['-f', directory]);
    expect(await ownBytes(dashed)).toBe(await ownBytes(plain));
    expect(await ownBytes(plain)).toBeGreaterThan(0);
    expect(await extentsOf(broken)).toBeNull();
  } finally {
    await rm(directory, { recursive: true });
  }
});
