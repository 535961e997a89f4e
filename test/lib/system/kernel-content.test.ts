import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { readKernelContent } from '../../../src/lib/system/kernel-content.ts';
import { run } from '../../../src/lib/system/process.ts';
import { fakeBzImage } from '../../support/images.ts';
import { debianKernel } from '../../support/kernel.ts';

const directory = mkdtempSync(join(tmpdir(), 'banger-kernel-content-'));
const at = (name: string): string => join(directory, name);
afterAll(() => rmSync(directory, { recursive: true }));

const CONFIG = 'CONFIG_EXT4_FS=y\n# CONFIG_MODULES is not set\n';
const MARK = 'EXT4-fs (%s): ';
const PIECE_BYTES = 256 * 1024;

function kernel(config: Buffer): Buffer {
  return Buffer.concat([
    // Both lie across the border of two pieces.
    Buffer.alloc(PIECE_BYTES - 4, 1),
    Buffer.from('IKCFG_ST'),
    config,
    Buffer.from('IKCFG_ED'),
    Buffer.alloc(PIECE_BYTES - 5 - 16 - config.length + 4, 1),
    Buffer.from(MARK),
  ]);
}

function bzImage(payload: Buffer): Buffer {
  const head = fakeBzImage();
  head.writeUInt32LE(4096 - 5 * 512, 0x248);
  return Buffer.concat([head, payload, Buffer.alloc(4, 7)]);
}

const read = (content: Buffer) => {
  writeFileSync(at('kernel'), content);
  return readKernelContent(at('kernel'), [MARK, 'no such words']);
};

describe('what is in a kernel', () => {
  const plain = kernel(gzipSync(CONFIG));

  test.for([
    ['as it is', plain],
    ['packed by gzip', bzImage(gzipSync(plain))],
    ['packed by zstd', bzImage(zstdCompressSync(plain))],
  ] as const)('is found %s', async ([, content]) => {
    expect(await read(content)).toEqual({ config: CONFIG, marks: new Set([MARK]) });
  });

  test.for([
    ['too short', Buffer.from('x')],
    ['without a configuration', Buffer.alloc(4096)],
    ['with a damaged one', kernel(Buffer.from('\x1f\x8b\x08 damaged', 'latin1'))],
    ['with one that is a bomb', kernel(gzipSync(Buffer.alloc(64 * 2 ** 20)))],
    ['packed badly', bzImage(gzipSync(plain).subarray(0, 100))],
    ['packed behind its end', bzImage(Buffer.alloc(0)).subarray(0, 3000)],
  ] as const)('is nothing in one %s', async ([, content]) => {
    expect(await read(content)).toMatchObject({ config: null });
  });

  test('of Debian is ext4, and no driver of a disk', async () => {
    const { kernel: path } = await debianKernel();
    const { config, marks } = await readKernelContent(path, [MARK, 'virtio_blk\0', 'virtio-mmio\0']);
    expect([config, [...marks]]).toEqual([null, [MARK]]);
  });

  test('is not waited for', async () => {
    await run('mkfifo', [at('fifo')]);
    await expect(readKernelContent(at('fifo'), [])).rejects.toMatchObject({ code: 'preflight_failed' });
  });
});
