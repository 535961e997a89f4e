import { mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
import {
  parseSuperblock,
  readSuperblock,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET,
} from '../../../src/lib/system/superblock.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'superblock-'));
afterAll(() => rmSync(directory, { recursive: true }));

async function make(name: string, sizeBytes: number, ...args: string[]): Promise<string> {
  const file = path.join(directory, name);
  writeFileSync(file, '');
  truncateSync(file, sizeBytes);
  await run('mke2fs', ['-F', '-q', ...args, file]);
  return file;
}

function superblockBytes(file: string): Buffer {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  readSync(openSync(file, 'r'), bytes, 0, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET);
  return bytes;
}

/** The fields of `dumpe2fs -h`, as e2fsprogs itself reads them. */
async function dumpe2fs(file: string): Promise<Record<string, string>> {
  const { stdout } = await run('dumpe2fs', ['-h', file]);
  return Object.fromEntries(stdout.split('\n').map((line) => line.split(/: +/u, 2) as [string, string]));
}

const MiB = 1024 * 1024;

describe('a superblock that mke2fs made', () => {
  it.each([
    { name: 'ext4', sizeBytes: 64 * MiB, args: ['-t', 'ext4', '-L', 'root fs'] },
    { name: 'ext4 of 1 KiB blocks', sizeBytes: 16 * MiB, args: ['-t', 'ext4', '-b', '1024'] },
    { name: 'ext4 without 64bit', sizeBytes: 16 * MiB, args: ['-t', 'ext4', '-O', '^64bit,^metadata_csum'] },
    {
      name: 'ext4 with bigalloc',
      sizeBytes: 512 * MiB,
      args: ['-t', 'ext4', '-O', 'bigalloc', '-C', '65536'],
    },
    { name: 'ext3', sizeBytes: 16 * MiB, args: ['-t', 'ext3'] },
    { name: 'ext2', sizeBytes: 16 * MiB, args: ['-t', 'ext2'] },
    { name: 'ext2 of revision 0', sizeBytes: 4 * MiB, args: ['-t', 'ext2', '-r', '0', '-O', 'none'] },
    {
      name: 'ext4 of 200 GiB',
      sizeBytes: 200 * 1024 * MiB,
      args: ['-t', 'ext4', '-N', '4096', '-b', '4096'],
    },
  ])('is read as dumpe2fs reads it: $name', async ({ name, sizeBytes, args }) => {
    const file = await make(`${name}.img`, sizeBytes, ...args);
    const told = await dumpe2fs(file);
    const superblock = readSuperblock(file);
    expect(superblock).toMatchObject({
      generation: name.slice(0, 4),
      blockSize: Number(told['Block size']),
      blockCount: Number(told['Block count']),
      freeBlocks: Number(told['Free blocks']),
      inodeCount: Number(told['Inode count']),
      freeInodes: Number(told['Free inodes']),
      uuid: told['Filesystem UUID'],
      label: told['Filesystem volume name'] === '<none>' ? '' : told['Filesystem volume name'],
      state: 'clean',
      needsRecovery: false,
    });
    const features = (told['Filesystem features'] ?? '')
      .split(' ')
      .filter((word) => !/^\(?none\)?$/u.test(word));
    expect(superblock.features).toEqual(features);
    expect(superblock.sizeBytes).toBe(superblock.blockCount * superblock.blockSize);
    expect(superblock.freeBytes).toBe(superblock.freeBlocks * superblock.blockSize);
    rmSync(file);
  });

  it('tells of errors that the kernel met, and of a journal not replayed', async () => {
    const file = await make('marked.img', 16 * MiB, '-t', 'ext4');
    await run('debugfs', ['-w', '-R', 'set_super_value state 2', file]);
    await run('debugfs', ['-w', '-R', 'feature needs_recovery', file]);
    expect(readSuperblock(file)).toMatchObject({ state: 'errors', needsRecovery: true });
  });
});

describe('a superblock that cannot be believed', () => {
  let good: Buffer = Buffer.alloc(0);
  beforeAll(async () => {
    good = superblockBytes(await make('good.img', 64 * MiB, '-t', 'ext4', '-b', '4096', '-O', '64bit'));
  });

  it.each([
    ['a block size of 2^4294967305', 0x18, 0xffffffff, /block size/u],
    ['a block size of 128 KiB', 0x18, 7, /block size/u],
    ['no blocks', 0x4, 0, /claims no blocks/u],
    ['2^64 blocks', 0x150, 0xffffffff, /more than 8 PiB/u],
    ['no blocks in a group', 0x20, 0, /0 blocks in a group/u],
    ['too many blocks in a group', 0x20, 0xffffffff, /blocks in a group/u],
    ['no inodes in a group', 0x28, 0, /0 inodes in a group/u],
    ['too many inodes in a group', 0x28, 0x7fffffff, /inodes in a group/u],
    ['inodes that its groups do not hold', 0x0, 5, /claims 5 inodes/u],
    ['more free inodes than inodes', 0x10, 0xffffffff, /free inodes/u],
    ['more free blocks than blocks', 0x158, 1, /free blocks/u],
    ['a first block behind its end', 0x14, 0xffffff, /first block/u],
    ['inodes of 0 bytes', 0x58, 0, /inodes of 0 bytes/u],
    ['inodes of 384 bytes', 0x58, 384, /inodes of 384 bytes/u],
    ['a revision of the future', 0x4c, 9, /revision/u],
    ['a journal device', 0x60, 0x8, /journal/u],
  ])('is refused: %s', (_what, offset, value, reason) => {
    const bytes = Buffer.from(good);
    if (offset === 0x58) bytes.writeUInt16LE(value, offset);
    else bytes.writeUInt32LE(value, offset);
    expect(parseSuperblock(bytes)).toMatchObject({ kind: 'damaged', reason: expect.stringMatching(reason) });
  });

  it('is refused with exit 11 and the path, and so are one that is cut off and none at all', async () => {
    const file = await make('hostile.img', 16 * MiB, '-t', 'ext4');
    truncateSync(file, 15 * MiB);
    expect(() => readSuperblock(file)).toThrow(
      expect.objectContaining({
        code: 'corrupt',
        message: `${file} is truncated: its filesystem has 16 MiB, the file holds 15 MiB`,
      }),
    );
    writeSync(openSync(file, 'r+'), Buffer.alloc(4), 0, 4, SUPERBLOCK_OFFSET + 0x20);
    expect(() => readSuperblock(file)).toThrow(
      expect.objectContaining({ code: 'corrupt', message: expect.stringContaining(`${file}: its ext4`) }),
    );
    truncateSync(file, 100);
    expect(() => readSuperblock(file)).toThrow(expect.objectContaining({ code: 'corrupt' }));
    expect(() => readSuperblock(path.join(directory, 'missing'))).toThrow(
      expect.objectContaining({ code: 'preflight_failed' }),
    );
  });

  it('is measured in whole numbers up to 16 TiB, and compared with the file', () => {
    const bytes = Buffer.from(good);
    bytes.writeUInt32LE(0, 0x4);
    bytes.writeUInt32LE(1, 0x150);
    bytes.writeUInt32LE((2 ** 32 / bytes.readUInt32LE(0x20)) * bytes.readUInt32LE(0x28), 0x0);
    const parsed = parseSuperblock(bytes);
    expect(parsed).toMatchObject({ kind: 'valid', superblock: { blockCount: 2 ** 32, sizeBytes: 2 ** 44 } });
    const file = path.join(directory, 'claims.img');
    writeFileSync(file, Buffer.concat([Buffer.alloc(SUPERBLOCK_OFFSET), bytes]));
    expect(() => readSuperblock(file)).toThrow(/truncated: its filesystem has 16 TiB, the file holds 2 KiB/u);
  });

  it('has a label that is safe to print', () => {
    const bytes = Buffer.from(good);
    bytes.write('\u001b[31mred\nx\0junk', 0x78, 'latin1');
    expect(parseSuperblock(bytes)).toMatchObject({ superblock: { label: 'red x' } });
  });

  it('never breaks the parser, whatever its bytes are', () => {
    const changes = fc.array(
      fc.tuple(fc.nat(SUPERBLOCK_BYTES - 5), fc.integer({ min: 0, max: 0xffffffff })),
      {
        maxLength: 12,
      },
    );
    fc.assert(
      fc.property(changes, fc.boolean(), (fields, keepMagic) => {
        const bytes = Buffer.from(good);
        for (const [offset, value] of fields) bytes.writeUInt32LE(value, offset);
        if (keepMagic) bytes.writeUInt16LE(0xef53, 0x38);
        const parsed = parseSuperblock(bytes);
        if (parsed.kind !== 'valid') return;
        const { blockSize, blockCount, freeBlocks, sizeBytes, inodeCount, freeInodes, label } =
          parsed.superblock;
        for (const value of [blockSize, blockCount, sizeBytes, inodeCount]) {
          expect(value).toSatisfy((number: number) => Number.isSafeInteger(number) && number > 0);
        }
        expect(freeBlocks).toBeLessThanOrEqual(blockCount);
        expect(freeInodes).toBeLessThanOrEqual(inodeCount);
        expect(label).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/u);
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2048 }), (bytes) => {
        parseSuperblock(Buffer.from(bytes));
      }),
    );
  });
});
