import { execFileSync } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { cpioOf } from '../../../src/lib/machine/cpio.ts';
import { readInitrd } from '../../../src/lib/system/initrd-content.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(join(tmpdir(), 'banger-initrd-'));
const at = (name: string): string => join(directory, name);
afterAll(() => rmSync(directory, { recursive: true }));

function archive(...names: readonly string[]): Buffer {
  return Buffer.concat(
    cpioOf(names.map((path) => ({ path, type: 'file', mode: 0o644, content: Buffer.from(`of ${path}`) }))),
  );
}

async function namesIn(...pieces: readonly Buffer[]): Promise<string[]> {
  writeFileSync(at('initrd'), Buffer.concat(pieces));
  return namesOf(at('initrd'));
}

async function namesOf(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of readInitrd(path)) names.push(name.toString());
  return names;
}

function packedBy(file: string, ...args: readonly string[]): Buffer {
  return execFileSync(file, [...args], { input: archive('a', 'lib/b') });
}

const ZEROS = Buffer.alloc(512);

describe('what is in an initrd', () => {
  test.for([
    ['plain', archive('a', 'lib/b')],
    ['gzip', gzipSync(archive('a', 'lib/b'))],
    ['zstd', zstdCompressSync(archive('a', 'lib/b'))],
    ['xz', packedBy('xz', '--check=crc32', '-c')],
    ['lzma', packedBy('xz', '--format=lzma', '-c')],
    ['bzip2', packedBy('bzip2', '-c')],
    ['lz4', packedBy('lz4', '-l', '-c')],
  ] as const)('is read, %s', async ([, content]) => {
    expect(await namesIn(content)).toEqual(['a', 'lib/b']);
    // Behind microcode, with padding around.
    expect(await namesIn(archive('early'), ZEROS, content)).toEqual(['early', 'a', 'lib/b']);
  });

  test('may be several archives, each as it likes', async () => {
    const [one, other] = [archive('a'), archive('b')];
    expect(await namesIn(one, other)).toEqual(['a', 'b']);
    expect(await namesIn(gzipSync(one), ZEROS, zstdCompressSync(other), archive('c'))).toEqual([
      'a',
      'b',
      'c',
    ]);
    expect(await namesIn(gzipSync(Buffer.concat([one, ZEROS, other])), gzipSync(archive('c')))).toEqual([
      'a',
      'b',
      'c',
    ]);
    expect(await namesIn(zstdCompressSync(one), zstdCompressSync(other))).toEqual(['a', 'b']);
  });

  test('is read with the names that gzip notes', async () => {
    writeFileSync(at('named'), archive('a'));
    expect(await namesIn(execFileSync('gzip', ['-c', at('named')]), archive('b'))).toEqual(['a', 'b']);
  });

  test('is told with its content, to whoever wants that', async () => {
    writeFileSync(at('initrd'), gzipSync(archive('a', 'b', 'c')));
    const contents: string[] = [];
    for await (const { name, type, size, content } of readInitrd(at('initrd'))) {
      expect([type, size]).toEqual(['file', 4]);
      if (name.toString() === 'a') continue;
      for await (const piece of content()) contents.push(piece.toString());
    }
    expect(contents).toEqual(['of b', 'of c']);
  });
});

const WHOLE = archive('a', 'b');

describe('an initrd that no kernel unpacks whole', () => {
  test.for([
    ['is cut within a header', WHOLE.subarray(0, 50), /ends too early/u],
    ['is cut within a name', WHOLE.subarray(0, 111), /ends too early/u],
    ['has no trailer', WHOLE.subarray(0, WHOLE.indexOf('TRAILER!!!') - 110), /without a trailer/u],
    ['is cut while packed', gzipSync(WHOLE).subarray(0, 40), /damaged/u],
    ['is cut within the header of gzip', gzipSync(WHOLE).subarray(0, 9), /ends too early/u],
    ['has nothing in it that is packed', gzipSync(Buffer.from('no archive')), /followed by what is none/u],
    ['has noise behind it', Buffer.concat([WHOLE, Buffer.from('noise')]), /no archive/u],
    ['has noise for xz', Buffer.from('\xfd7zXZ\0 and noise', 'latin1'), /xz/u],
    [
      'has a header that is none',
      Buffer.from(WHOLE.toString('latin1').replace(/070701/gu, '07070x'), 'latin1'),
      /no archive|wrong/u,
    ],
    ['is wrong in a second header', spoilSecondHeader(), /header is wrong/u],
  ] as const)('%s', async ([, content, message]) => {
    await expect(namesIn(content)).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringMatching(message),
    });
  });

  test('is no FIFO', async () => {
    await run('mkfifo', [at('fifo')]);
    await expect(namesOf(at('fifo'))).rejects.toMatchObject({ code: 'preflight_failed' });
  });
});

function spoilSecondHeader(): Buffer {
  const spoilt = Buffer.from(WHOLE);
  spoilt.write('07070z', spoilt.indexOf('070701', 1), 'latin1');
  return spoilt;
}

describe('an initrd that is made to keep its reader busy', { timeout: 120_000 }, () => {
  const tooMuch = { code: 'preflight_failed', message: expect.stringContaining('is not looked into') };

  test('has a file of 4 GiB in a few KiB', async () => {
    const [header = Buffer.alloc(0)] = cpioOf([
      { path: 'zeros', type: 'file', mode: 0o644, content: Buffer.alloc(0) },
    ]);
    header.write('fffffff0', 54, 'latin1');
    await pipeline(Readable.from(bomb(header)), createZstdCompress(), createWriteStream(at('bomb')));
    await expect(namesOf(at('bomb'))).rejects.toMatchObject(tooMuch);
  });

  test('has as much, packed by what a tool unpacks, which ends then', async () => {
    const [header = Buffer.alloc(0)] = cpioOf([{ path: 'zeros', type: 'file', mode: 0o644 }]);
    header.write('fffffff0', 54, 'latin1');
    writeFileSync(at('header'), header);
    const script = '{ cat "$0"; head -c 2200000000 /dev/zero; } | lz4 -l -c >"$1"';
    await run('sh', ['-c', script, at('header'), at('lz4-bomb')]);
    await expect(namesOf(at('lz4-bomb'))).rejects.toMatchObject(tooMuch);
  });

  test('has more files than a system', async () => {
    const [first = Buffer.alloc(0)] = cpioOf([{ path: 'f', type: 'file', mode: 0o644 }]);
    const content = zstdCompressSync(Buffer.alloc(first.length * 500_001, first));
    await expect(namesIn(content)).rejects.toMatchObject(tooMuch);
  });

  test('has parts without end', async () => {
    const parts = Array.from({ length: 1100 }, () => gzipSync(archive()));
    await expect(namesIn(...parts)).rejects.toMatchObject(tooMuch);
  });

  test('is as large as a disk', async () => {
    writeFileSync(at('large'), archive('a'));
    truncateSync(at('large'), 3 * 2 ** 30);
    await expect(namesOf(at('large'))).rejects.toMatchObject(tooMuch);
  });
});

async function* bomb(header: Buffer): AsyncGenerator<Buffer> {
  yield header;
  const zeros = Buffer.alloc(2 ** 24);
  for (let count = 0; count < 136; count += 1) yield zeros;
}
