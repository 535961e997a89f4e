import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readModule } from '../../../src/lib/machine/module-info.ts';
import { ModuleTree } from '../../../src/lib/machine/module-tree.ts';
import { run } from '../../../src/lib/system/process.ts';
import { type DebianKernel, debianKernel } from '../../support/kernel.ts';

let kernel: DebianKernel;
const VIRTIO_BLK = 'kernel/drivers/block/virtio_blk.ko';

beforeAll(async () => {
  kernel = await debianKernel();
});

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'banger-modules-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

describe('the modules of a Debian kernel', () => {
  test('come after what they depend on, each once', async () => {
    const tree = await ModuleTree.open(kernel.modules);
    const closure = await tree.closureOf(['virtio-blk', 'virtio_mmio', 'ext4', 'no_such_module']);
    const names = closure.map(({ name }) => name);
    expect(names).toEqual(['virtio_ring', 'virtio', 'virtio_blk', 'virtio_mmio']);
    for (const { content } of closure) expect(content.toString('latin1', 1, 4)).toBe('ELF');
  });

  test('are told from what is built in', async () => {
    const tree = await ModuleTree.open(kernel.modules);
    expect(['ext4', 'virtio_blk', 'virtio-blk'].map((name) => tree.isBuiltIn(name))).toEqual([
      true,
      false,
      false,
    ]);
    expect(['ext4', 'virtio_blk', 'virtio-blk'].map((name) => tree.has(name))).toEqual([false, true, true]);
  });
});

test('a tree in which a dependency is missing is refused, with its name', async () => {
  const directory = await newDirectory();
  await copyFile(join(kernel.modules, VIRTIO_BLK), join(directory, 'virtio_blk.ko'));
  const tree = await ModuleTree.open(directory);
  await expect(tree.closureOf(['virtio_blk'])).rejects.toMatchObject({
    code: 'preflight_failed',
    message: expect.stringMatching(/has no virtio(?:_ring)?, which virtio_blk depends on/u),
  });
});

test('links out of a tree are not followed, and a ring of links is no end of work', async () => {
  const directory = await newDirectory();
  await mkdir(join(directory, 'kernel'));
  await symlink('..', join(directory, 'kernel/up'));
  await symlink(join(kernel.modules, VIRTIO_BLK), join(directory, 'kernel/virtio_blk.ko'));
  const tree = await ModuleTree.open(directory);
  expect(tree.has('virtio_blk')).toBe(false);
});

describe('a module', () => {
  test.for(['.gz', '.zst', '.xz'])('is read out of its compressed file: %s', async (ending) => {
    const directory = await newDirectory();
    const plain = join(directory, 'virtio_blk.ko');
    await copyFile(join(kernel.modules, VIRTIO_BLK), plain);
    const { content, depends } = await readModule(plain);
    expect(depends.sort()).toEqual(['virtio', 'virtio_ring']);
    const packed = `${plain}${ending}`;
    if (ending === '.xz') await run('xz', ['--keep', plain]);
    else await writeFile(packed, ending === '.gz' ? gzipSync(content) : zstdCompressSync(content));
    const again = await readModule(packed);
    expect(again.content.equals(content)).toBe(true);
    expect(again.depends.sort()).toEqual(depends);
  });

  test('is refused where its headers lead nowhere, or it is none', async () => {
    const directory = await newDirectory();
    const { content } = await readModule(join(kernel.modules, VIRTIO_BLK));
    const lost = Buffer.from(content);
    lost.writeBigUInt64LE(2n ** 40n, 40);
    const files = {
      'text.ko': Buffer.from('no module'),
      'lost.ko': lost,
      'cut.ko': content.subarray(0, 200),
    };
    for (const [name, bytes] of Object.entries(files)) {
      await writeFile(join(directory, name), bytes);
      await expect(readModule(join(directory, name)), name).rejects.toMatchObject({
        code: 'preflight_failed',
        message: expect.stringContaining(`${name} is not a kernel module`),
      });
    }
    expect(await readdir(directory)).toHaveLength(3);
  });

  test('is refused where it would take too much memory, or is packed badly', async () => {
    const directory = await newDirectory();
    await writeFile(join(directory, 'bomb.ko.gz'), gzipSync(Buffer.alloc(65 * 2 ** 20)));
    await writeFile(join(directory, 'bad.ko.zst'), 'no archive');
    for (const name of ['bomb.ko.gz', 'bad.ko.zst']) {
      await expect(readModule(join(directory, name)), name).rejects.toMatchObject({
        code: 'preflight_failed',
        message: expect.stringContaining(name),
      });
    }
  });
});
