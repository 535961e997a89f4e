import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { canReflink, existingPart, filesystemOf, spaceOf } from '../../../src/lib/system/filesystem.ts';
import { mountExt4, mountXfs } from '../../support/xfs.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'banger-filesystem-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('filesystems are known by name', () => {
  expect(filesystemOf('/dev/shm')).toEqual({ name: 'tmpfs', remote: false });
  expect(filesystemOf('/proc')).toEqual({ name: '0x9fa0', remote: false });
  expect(() => filesystemOf(join(directory, 'missing'))).toThrow('ENOENT');
});

test('the part of a path that exists is found', async () => {
  await writeFile(join(directory, 'file'), '');
  expect(existingPart(join(directory, 'a/b/c'))).toBe(directory);
  expect(existingPart(directory)).toBe(directory);
  expect(existingPart(join(directory, 'file/below'))).toBe(join(directory, 'file/below'));
});

test('space is counted in bytes', () => {
  const space = spaceOf(directory);
  expect(space.totalBytes).toBeGreaterThan(space.freeBytes);
  expect(space.freeBytes).toBeGreaterThan(1024 * 1024);
});

test.runIf(process.getuid?.() === 0)(
  'XFS shares extents, ext4 does not, and the probe leaves nothing',
  async () => {
    for (const [mount, type, shares] of [
      [mountXfs, 'xfs', true],
      [mountExt4, 'ext4', false],
    ] as const) {
      const mounted = await mount();
      try {
        expect(filesystemOf(mounted.directory)).toEqual({ name: type, remote: false });
        const before = await readdir(mounted.directory);
        expect(await canReflink(mounted.directory)).toBe(shares);
        expect(await readdir(mounted.directory)).toEqual(before);
      } finally {
        await mounted.remove();
      }
    }
  },
);

test('a directory that cannot be written is an error, not a no', async () => {
  const missing = join(directory, 'missing');
  await expect(canReflink(missing)).rejects.toThrow('ENOENT');
  await mkdir(missing);
  await chmod(missing, 0o700);
  await expect(canReflink(missing)).resolves.toBeTypeOf('boolean');
});
