import { link, mkdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { type Fault, FaultList } from '../../../src/lib/errors.ts';
import { type Contents, checkRoom } from '../../../src/lib/image/room.ts';
import { footprintOf } from '../../../src/lib/system/footprint.ts';
import { run } from '../../../src/lib/system/process.ts';
import type { MountedFilesystem } from '../../support/loop-mount.ts';
import { mountExt4, mountXfs } from '../../support/xfs.ts';

const MIB = 2 ** 20;
const NOTHING = { bytes: 0, inodes: 0 };

async function faultsIn(directory: string, contents: Partial<Contents>): Promise<readonly Fault[]> {
  const faults = new FaultList();
  await checkRoom(faults, directory, { copies: [], more: NOTHING, ...contents });
  return faults.faults;
}

describe.runIf(inject('testRun').root)('room', () => {
  /** An ext4 of 64 MiB that is written to, and an XFS with what is copied; both as the test leaves them. */
  async function onDisks(use: (small: string, sources: string) => Promise<void>): Promise<void> {
    const mounts: MountedFilesystem[] = [];
    try {
      mounts.push(await mountExt4(64, undefined, ['-N', '128']), await mountXfs(300));
      const [small, sources] = mounts.map(({ directory }) => directory);
      await use(small ?? '', sources ?? '');
    } finally {
      for (const mount of mounts) await mount.remove();
    }
  }

  async function written(path: string, bytes: number): Promise<string> {
    await writeFile(path, Buffer.alloc(bytes, 1));
    return path;
  }

  test('is wanted for what a file has written, neither for holes nor for what is only allocated', async () => {
    await onDisks(async (small, sources) => {
      const sparse = await written(join(sources, 'sparse'), 20 * MIB);
      await truncate(sparse, 1024 * MIB);
      expect(await footprintOf(sparse)).toEqual({ bytes: expect.any(Number), inodes: 1 });
      expect((await footprintOf(sparse)).bytes).toBeLessThan(40 * MIB);
      expect(await faultsIn(small, { copies: [sparse] })).toEqual([]);

      const allocated = join(sources, 'allocated');
      await run('fallocate', ['-l', `${100 * MIB}`, allocated]);
      await truncate(allocated, 200 * MIB);
      expect((await footprintOf(allocated)).bytes).toBe(100 * MIB);
      expect(await faultsIn(small, { copies: [allocated] })).toEqual([]);
      // What was not refused fits: cp leaves out what this left out.
      await run('cp', [allocated, join(small, 'allocated')]);
      expect((await stat(join(small, 'allocated'))).blocks).toBe(0);

      await rm(allocated);
      const full = await written(join(sources, 'full'), 100 * MIB);
      expect(await faultsIn(small, { copies: [full] })).toEqual([
        {
          message: expect.stringMatching(
            new RegExp(
              `^100 MiB are wanted on the filesystem at ${small} \\(\\S+ MiB and \\d+ inodes left\\)$`,
              'u',
            ),
          ),
          mend: expect.stringContaining(`(df -h ${small})`),
        },
      ]);
      expect(await faultsIn(small, { copies: [sparse, sparse, sparse, sparse] })).toHaveLength(1);
    });
  });

  test('is not wanted for what may be shared', async () => {
    await onDisks(async (small, sources) => {
      const large = await written(join(sources, 'large'), 100 * MIB);
      await run('fallocate', ['-l', `${80 * MIB}`, join(sources, 'ballast')]);
      expect(await faultsIn(sources, { copies: [large] })).toEqual([]);
      const elsewhere = await written(join(small, 'elsewhere'), 30 * MIB);
      expect(await faultsIn(sources, { copies: [elsewhere] })).toEqual([]);
      expect(await faultsIn(sources, { copies: [elsewhere, elsewhere, elsewhere] })).toHaveLength(1);
    });
  });

  test('is wanted for inodes, each once', async () => {
    await onDisks(async (small, sources) => {
      const tree = join(sources, 'tree');
      await mkdir(join(tree, 'deep'), { recursive: true });
      await writeFile(join(tree, 'deep/file'), 'x');
      await link(join(tree, 'deep/file'), join(tree, 'same'));
      await symlink('nowhere', join(tree, 'link'));
      expect(await footprintOf(tree)).toEqual({ bytes: 1, inodes: 4 });
      expect(await faultsIn(small, { copies: [tree], more: { bytes: 0, inodes: 90 } })).toEqual([]);
      const [fault] = await faultsIn(small, { copies: [tree], more: { bytes: 0, inodes: 120 } });
      expect(fault?.message).toMatch(/^124 inodes are wanted on .* inodes left\)$/u);
      for (let n = 0; n < 20; n += 1) await writeFile(join(tree, `more-${n}`), '');
      expect(await faultsIn(small, { copies: [tree], more: { bytes: 0, inodes: 100 } })).toHaveLength(1);
      await rm(tree, { recursive: true });
    });
  });
});
