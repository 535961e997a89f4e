import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BangerError } from '../../../src/lib/errors.ts';
import { identifyDisk } from '../../../src/lib/system/disk-format.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'disk-format-'));
afterAll(() => rmSync(directory, { recursive: true }));
const at = (name: string): string => path.join(directory, name);
const MiB = 1024 * 1024;

function sparse(name: string, sizeBytes: number, ...pieces: [number, string | Buffer][]): string {
  const file = at(name);
  writeFileSync(file, '');
  truncateSync(file, sizeBytes);
  const fd = openSync(file, 'r+');
  for (const [offset, bytes] of pieces) {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    writeSync(fd, buffer, 0, buffer.length, offset);
  }
  return file;
}

/** An MBR with one Linux partition of 8192 sectors. */
const MBR_ENTRY = Buffer.from('80000000830000000008000000200000', 'hex');
const BOOT_SIGNATURE = '\x55\xaa';

describe('a file made by its own tool', () => {
  beforeAll(async () => {
    writeFileSync(at('content'), 'content\n'.repeat(1000));
    for (const type of ['ext2', 'ext3', 'ext4']) {
      await run('mke2fs', ['-F', '-q', '-t', type, sparse(type, 16 * MiB)]);
    }
    await run('mkfs.xfs', ['-q', sparse('xfs', 320 * MiB)]);
    await run('mkswap', [sparse('swap', MiB)]);
    for (const tool of ['gzip', 'xz', 'zstd', 'bzip2']) await run(tool, ['-k', '-q', at('content')]);
    await run('tar', ['-C', directory, '-cf', at('tar'), 'content']);
  });

  it.each([
    ['ext4', 'ext4', 'an ext4 filesystem of 16 MiB'],
    ['ext3', 'ext3', 'an ext3 filesystem (it has no extents)'],
    ['ext2', 'ext2', 'an ext2 filesystem (it has no extents)'],
    ['xfs', 'xfs', 'an XFS filesystem'],
    ['swap', 'swap', 'a swap area'],
    ['content.gz', 'gzip', 'a gzip-compressed file'],
    ['content.xz', 'xz', 'an xz-compressed file'],
    ['content.zst', 'zstd', 'a zstd-compressed file'],
    ['content.bz2', 'bzip2', 'a bzip2-compressed file'],
    ['tar', 'tar', 'a tar archive'],
    ['content', 'unknown', 'a file of unknown format'],
  ])('%s is %s', async (name, kind, description) => {
    expect(await identifyDisk(at(name))).toMatchObject({ kind, description });
  });

  it('has its superblock with it when it is ext4', async () => {
    expect(await identifyDisk(at('ext4'))).toMatchObject({ superblock: { sizeBytes: 16 * MiB } });
  });

  it('is ext4 though a boot loader sits in front of it and ends as an MBR does', async () => {
    copyFileSync(at('ext4'), at('bootable'));
    const fd = openSync(at('bootable'), 'r+');
    writeSync(fd, MBR_ENTRY, 0, 16, 446);
    writeSync(fd, Buffer.from(BOOT_SIGNATURE, 'latin1'), 0, 2, 510);
    expect((await identifyDisk(at('bootable'))).kind).toBe('ext4');
  });

  it('is truncated, with both sizes, when it was cut off', async () => {
    copyFileSync(at('ext4'), at('cut'));
    truncateSync(at('cut'), 10 * MiB);
    expect(await identifyDisk(at('cut'))).toEqual({
      kind: 'truncated',
      description: 'a truncated ext4 filesystem (it has 16 MiB, the file holds 10 MiB)',
    });
    truncateSync(at('cut'), 2048);
    expect((await identifyDisk(at('cut'))).kind).toBe('truncated');
  });

  it('is damaged when its superblock cannot be', async () => {
    copyFileSync(at('ext4'), at('damaged'));
    writeSync(openSync(at('damaged'), 'r+'), Buffer.alloc(4), 0, 4, 1024 + 0x20);
    expect(await identifyDisk(at('damaged'))).toEqual({
      kind: 'damaged',
      description: 'an ext4 filesystem that is damaged (it claims 0 blocks in a group)',
    });
  });
});

describe('a file known by its signature', () => {
  it.each<[kind: string, pieces: [number, string | Buffer][]]>([
    ['qcow2', [[0, 'QFI\xfb\0\0\0\x03']]],
    ['qed', [[0, 'QED\0']]],
    ['vmdk', [[0, 'KDMV\x01\0\0\0']]],
    ['vmdk', [[0, '# Disk DescriptorFile\nversion=1\n']]],
    ['vdi', [[0x40, '\x7f\x10\xda\xbe']]],
    ['vhd', [[0, 'conectix']]],
    ['vhd', [[131072 - 512, 'conectix']]],
    ['vhdx', [[0, 'vhdxfile']]],
    ['squashfs', [[0, 'hsqs']]],
    ['erofs', [[1024, '\xe2\xe1\xf5\xe0']]],
    ['f2fs', [[1024, '\x10\x20\xf5\xf2']]],
    ['btrfs', [[0x10040, '_BHRfS_M']]],
    ['iso9660', [[0x8001, 'CD001']]],
    // An isohybrid image has both.
    [
      'iso9660',
      [
        [0x8001, 'CD001'],
        [446, MBR_ENTRY],
        [510, BOOT_SIGNATURE],
      ],
    ],
    ['luks', [[0, 'LUKS\xba\xbe\0\x02']]],
    ['lvm', [[512, 'LABELONE']]],
    [
      'fat',
      [
        [0x52, 'FAT32   '],
        [510, BOOT_SIGNATURE],
      ],
    ],
    [
      'fat',
      [
        [0x36, 'FAT16   '],
        [446, MBR_ENTRY],
        [510, BOOT_SIGNATURE],
      ],
    ],
    [
      'ntfs',
      [
        [3, 'NTFS    '],
        [510, BOOT_SIGNATURE],
      ],
    ],
    [
      'gpt',
      [
        [446, MBR_ENTRY],
        [510, BOOT_SIGNATURE],
        [512, 'EFI PART'],
      ],
    ],
    [
      'gpt',
      [
        [510, BOOT_SIGNATURE],
        [4096, 'EFI PART'],
      ],
    ],
    [
      'mbr',
      [
        [446, MBR_ENTRY],
        [510, BOOT_SIGNATURE],
      ],
    ],
    [
      'mbr',
      [
        [494, MBR_ENTRY],
        [510, BOOT_SIGNATURE],
      ],
    ],
    // A boot signature alone is no partition table, nor are entries that cannot be.
    ['unknown', [[510, BOOT_SIGNATURE]]],
    [
      'unknown',
      [
        [446, MBR_ENTRY],
        [462, '\x33'],
        [510, BOOT_SIGNATURE],
      ],
    ],
    [
      'kernel',
      [
        [510, BOOT_SIGNATURE],
        [0x202, 'HdrS'],
      ],
    ],
    ['kernel', [[56, 'ARM\x64']]],
    ['cpio', [[0, '070701']]],
    ['elf', [[0, '\x7fELF']]],
    ['zip', [[0, 'PK\x03\x04']]],
    ['html', [[0, '<!DOCTYPE html>']]],
    // The magic of ext alone is there by chance: what else is known wins.
    [
      'qcow2',
      [
        [0, 'QFI\xfb'],
        [1024 + 0x38, '\x53\xef'],
      ],
    ],
    ['damaged', [[1024 + 0x38, '\x53\xef']]],
  ])('is %s: %j', async (kind, pieces) => {
    expect((await identifyDisk(sparse('signature', 131072, ...pieces))).kind).toBe(kind);
  });

  it('is said to be empty, or to begin with zeros', async () => {
    expect(await identifyDisk(sparse('empty', 0))).toEqual({ kind: 'empty', description: 'an empty file' });
    expect((await identifyDisk(sparse('zeros', MiB))).description).toMatch(/begins with 4.5 KiB of zeros/u);
  });

  it('is found at once in a file of 8 TiB', async () => {
    const file = sparse('huge', 8 * 1024 * 1024 * MiB, [0, 'QFI\xfb']);
    expect((await identifyDisk(file)).kind).toBe('qcow2');
    rmSync(file);
  });
});

describe('what is not a regular file', () => {
  beforeAll(() => {
    execFileSync('mkfifo', [at('fifo')]);
    mkdirSync(at('directory'));
    symlinkSync('content', at('link'));
    symlinkSync('nowhere', at('dangling'));
  });

  it.each([
    ['a FIFO', 'fifo', /fifo is a FIFO, not a regular file/u],
    ['a directory', 'directory', /is a directory, not a regular file/u],
    ['a device', '/dev/zero', /is a character device/u],
    ['nothing', 'missing', /missing: no such file/u],
    ['a link to nothing', 'dangling', /dangling: no such file/u],
  ])('is refused without waiting: %s', { timeout: 2000 }, async (_what, name, message) => {
    await expect(identifyDisk(path.resolve(directory, name))).rejects.toMatchObject({
      code: 'preflight_failed',
      message: expect.stringMatching(message),
    });
  });

  it('is followed when it is a link to one', async () => {
    expect((await identifyDisk(at('link'))).kind).toBe('unknown');
  });
});

it('never breaks on any bytes', { timeout: 20_000 }, async () => {
  const pieces = fc.array(fc.tuple(fc.integer({ min: 0, max: 5000 }), fc.uint8Array({ maxLength: 600 })), {
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(70_000), pieces, fc.boolean(), async (sizeBytes, content, ext) => {
      const magic: [number, Buffer][] = ext ? [[1024 + 0x38, Buffer.from('53ef', 'hex')]] : [];
      const written = content.map(([offset, bytes]): [number, Buffer] => [offset, Buffer.from(bytes)]);
      try {
        const format = await identifyDisk(sparse('random', sizeBytes, ...written, ...magic));
        expect(format.description).toMatch(/^an? /u);
      } catch (error) {
        expect(error).toBeInstanceOf(BangerError);
      }
    }),
    { numRuns: 300 },
  );
});
