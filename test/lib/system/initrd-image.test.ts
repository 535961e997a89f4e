import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identifyInitrd } from '../../../src/lib/system/initrd-image.ts';

const directory = mkdtempSync(join(tmpdir(), 'banger-initrd-'));
const at = (name: string): string => join(directory, name);
/** An archive with nothing in it: the trailer alone (buffer-format.rst). */
const EMPTY_ARCHIVE = `070701${'0'.repeat(88)}0000000b00000000TRAILER!!!\0\0\0\0`;

beforeAll(() => writeFileSync(at('cpio'), EMPTY_ARCHIVE));
afterAll(() => rmSync(directory, { recursive: true }));

describe('an initrd', () => {
  it.each([
    ['gzip', ['gzip', '-c']],
    ['bzip2', ['bzip2', '-c']],
    ['xz', ['xz', '--check=crc32', '-c']],
    ['lzma', ['xz', '--format=lzma', '-c']],
    ['lz4', ['lz4', '-l', '-c']],
    ['zstd', ['zstd', '-q', '-c']],
  ] as const)('may be compressed with %s', async (format, [file, ...args]) => {
    writeFileSync(at(format), execFileSync(file, [...args, at('cpio')]));
    expect(await identifyInitrd(at(format))).toEqual({ format });
  });

  it.each([
    ['an archive', EMPTY_ARCHIVE, 'cpio'],
    ['one with checksums', EMPTY_ARCHIVE.replace('070701', '070702'), 'cpio'],
    // lzop is on few machines: its magic number, from lzop's own source (conf.h).
    ['one compressed with lzop', '\x89LZO\0\r\n\x1a\n', 'lzo'],
  ] as const)('may be %s', async (_what, content, format) => {
    writeFileSync(at('file'), content, 'latin1');
    expect(await identifyInitrd(at('file'))).toEqual({ format });
  });

  it('may be microcode with the compressed archive behind it', async () => {
    const compressed = execFileSync('gzip', ['-c', at('cpio')]);
    writeFileSync(at('both'), Buffer.concat([readFileSync(at('cpio')), compressed]));
    expect(await identifyInitrd(at('both'))).toEqual({ format: 'cpio' });
  });

  it('is not what kernels do not unpack, which is named', async () => {
    writeFileSync(at('frame'), execFileSync('lz4', ['-c', at('cpio')]));
    expect(await identifyInitrd(at('frame'))).toMatchObject({
      format: 'unknown',
      description: expect.stringContaining('lz4 -l'),
    });
    for (const [content, description] of [
      ['', 'an empty file'],
      ['0', 'a file of unknown format'],
      ['an initrd', 'a file of unknown format'],
      ['070707', 'a cpio archive'],
      ['QFI\xfb', 'a qcow2 disk image'],
      ['<!DOCTYPE html>', 'a web page (a failed download?)'],
    ] as const) {
      writeFileSync(at('file'), content, 'latin1');
      expect(await identifyInitrd(at('file'))).toEqual({ format: 'unknown', description });
    }
  });

  it('is refused without waiting when it is no regular file', { timeout: 2000 }, async () => {
    execFileSync('mkfifo', [at('fifo')]);
    await expect(identifyInitrd(at('fifo'))).rejects.toMatchObject({ code: 'preflight_failed' });
  });
});
