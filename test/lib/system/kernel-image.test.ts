import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { identifyKernel } from '../../../src/lib/system/kernel-image.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'kernel-image-'));
afterAll(() => rmSync(directory, { recursive: true }));
const MiB = 1024 * 1024;
const RELEASE = '6.1.0-18-cloud-amd64';
const BANNER = `Linux version ${RELEASE} (builder@host) (gcc 12) #1 SMP\n\0`;

function file(name: string, content: Buffer | string): string {
  const target = path.join(directory, name);
  writeFileSync(target, content);
  return target;
}

interface Setup {
  protocol?: number;
  version?: string;
  pointer?: number;
  setupSectors?: number;
  loadFlags?: number;
}

/** The beginning of a bzImage as Documentation/arch/x86/boot.rst lays it out. */
function bzImage(setup: Setup = {}): Buffer {
  const {
    protocol = 0x020f,
    version = `${RELEASE} (builder@host) #1 SMP`,
    pointer = 0x1000,
    setupSectors = 39,
  } = setup;
  const bytes = Buffer.alloc(64 * 1024);
  bytes.writeUInt8(setupSectors, 0x1f1);
  bytes.writeUInt16LE(0xaa55, 0x1fe);
  bytes.write('HdrS', 0x202, 'latin1');
  bytes.writeUInt16LE(protocol, 0x206);
  bytes.writeUInt16LE(pointer, 0x20e);
  bytes.writeUInt16LE(setup.loadFlags ?? 0x7f, 0x236);
  bytes.write(`${version}\0`, 0x200 + 0x1000, 'latin1');
  return bytes;
}

/** The beginning of an ELF file (elf(5)): machine 62 is x86-64, type 2 an executable. */
function elf({ machine = 62, type = 2, endian = 1 } = {}): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.write('\x7fELF', 0, 'latin1');
  bytes.set([2, endian, 1], 4);
  bytes.writeUInt16LE(type, 16);
  bytes.writeUInt16LE(machine, 18);
  return bytes;
}

function arm64Image(): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.write('MZ', 0, 'latin1');
  bytes.write('ARM\x64', 56, 'latin1');
  return bytes;
}

describe('a bzImage', () => {
  it.each<[string, Setup, unknown]>([
    ['of 64 bits', {}, { format: 'bzImage', version: RELEASE, arch: 'x86_64' }],
    ['of 32 bits', { loadFlags: 0 }, { format: 'bzImage', version: RELEASE, arch: 'i386' }],
    ['of a protocol before that flag', { protocol: 0x0208 }, { version: RELEASE, arch: 'i386' }],
    ['with the old number of setup sectors', { setupSectors: 0, pointer: 0x7ff }, { version: null }],
    ['without a version', { pointer: 0 }, { format: 'bzImage', version: null }],
    ['whose version lies behind its setup code', { setupSectors: 8 }, { format: 'bzImage', version: null }],
    ['whose version lies behind the file', { pointer: 0xffff, setupSectors: 255 }, { version: null }],
    ['of a protocol before the version', { protocol: 0x0105 }, { version: null }],
    ['whose version steers a terminal', { version: '6.1\u001b[2J\u0007-evil x' }, { version: '6.1-evil' }],
    ['whose version never ends', { version: 'x'.repeat(2000) }, { version: 'x'.repeat(128) }],
  ])('%s', async (_what, setup, expected) => {
    expect(await identifyKernel(file('bzImage', bzImage(setup)))).toMatchObject(expected as object);
  });

  it('needs the boot signature too', async () => {
    const bytes = bzImage();
    bytes.writeUInt16LE(0, 0x1fe);
    expect((await identifyKernel(file('unsigned', bytes))).format).toBe('unknown');
  });
});

describe('a vmlinux', () => {
  it.each([
    [62, 'x86_64'],
    [183, 'arm64'],
    [3, 'i386'],
  ])('for ELF machine %i is for %s', async (machine, arch) => {
    const kernel = file('vmlinux', Buffer.concat([elf({ machine }), Buffer.from(BANNER)]));
    expect(await identifyKernel(kernel)).toEqual({ format: 'vmlinux', version: RELEASE, arch });
  });

  // The file is read a MiB at a time: the banner lies before, across and behind the first border.
  it.each([-200, -60, -33, -14, -1, 0, 1])(
    'has its banner found %i bytes from a border',
    async (distance) => {
      const kernel = file('border', elf());
      writeSync(openSync(kernel, 'r+'), BANNER, MiB + distance, 'latin1');
      expect(await identifyKernel(kernel)).toMatchObject({ version: RELEASE });
    },
  );

  it('of 300 MiB is read in bounded memory', async () => {
    const kernel = file('large', elf());
    writeSync(openSync(kernel, 'r+'), BANNER, 300 * MiB, 'latin1');
    const before = process.memoryUsage().rss;
    expect(await identifyKernel(kernel)).toMatchObject({ version: RELEASE });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MiB);
    rmSync(kernel);
  });

  it('is not every ELF file', async () => {
    expect(await identifyKernel('/bin/sh')).toEqual({
      format: 'unknown',
      description: 'an ELF program without a Linux banner, not a kernel',
    });
    const speaks = Buffer.concat([
      elf(),
      Buffer.from('Linux version %s (%s)\0'),
      Buffer.from('Linux version '),
    ]);
    expect((await identifyKernel(file('speaks', speaks))).format).toBe('unknown');
    const banner = Buffer.from(BANNER);
    const module = file('module.ko', Buffer.concat([elf({ type: 1 }), banner]));
    expect(await identifyKernel(module)).toMatchObject({
      description: expect.stringContaining('ELF object'),
    });
    for (const other of [{ machine: 243 }, { endian: 2 }]) {
      const foreign = file('foreign', Buffer.concat([elf(other), banner]));
      expect(await identifyKernel(foreign)).toMatchObject({
        description: expect.stringContaining('neither'),
      });
    }
  });

  it('made of nothing but almost-banners ends soon', { timeout: 5000 }, async () => {
    const words = Buffer.from('Linux version '.repeat(6 * MiB));
    expect((await identifyKernel(file('words', Buffer.concat([elf(), words])))).format).toBe('unknown');
  });

  it('stops being read when that is no longer wanted', async () => {
    const kernel = file('abandoned', elf());
    truncateSync(kernel, 900 * MiB);
    const controller = new AbortController();
    const identified = identifyKernel(kernel, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(identified).rejects.toThrow('enough');
  });
});

describe('an arm64 Image', () => {
  it('is told from its magic number, its version from its banner', async () => {
    const kernel = file('Image', Buffer.concat([arm64Image(), Buffer.from(BANNER)]));
    expect(await identifyKernel(kernel)).toEqual({ format: 'arm64', version: RELEASE, arch: 'arm64' });
    expect(await identifyKernel(file('Image', arm64Image()))).toMatchObject({
      format: 'arm64',
      version: null,
    });
  });

  it('that is gzipped is said to be so', async () => {
    const kernel = file('Image.gz', gzipSync(Buffer.concat([arm64Image(), Buffer.alloc(8 * MiB)])));
    expect(await identifyKernel(kernel)).toEqual({
      format: 'unknown',
      description: 'a gzip-compressed arm64 Image (unpack it with gunzip)',
    });
  });
});

describe('what is no kernel', () => {
  it.each<[string, Buffer, RegExp]>([
    ['an empty file', Buffer.alloc(0), /^an empty file$/u],
    ['text', Buffer.from('no kernel\n'), /unknown format/u],
    ['gzip of something else', gzipSync('text'), /^a gzip-compressed file$/u],
    ['gzip cut off in its header', Buffer.from('1f8b08ff', 'hex'), /gzip-compressed/u],
    ['gzip that is none', Buffer.from('1f8bffffffffffffffffffffff', 'hex'), /^a damaged gzip/u],
    ['an EFI zboot image', Buffer.from(`MZ\0\0zimg${'\0'.repeat(100)}`), /only UEFI firmware unpacks/u],
    ['a unified kernel image', Buffer.from(`MZ${'\0'.repeat(100)}`), /EFI program/u],
    ['a RISC-V kernel', Buffer.concat([Buffer.alloc(56), Buffer.from('RSC\x05\0\0\0\0')]), /RISC-V/u],
    ['a qcow2', Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), /^a qcow2 disk image$/u],
  ])('is named: %s', async (_what, bytes, description) => {
    expect(await identifyKernel(file('other', bytes))).toMatchObject({
      format: 'unknown',
      description: expect.stringMatching(description),
    });
  });

  it('is refused without waiting when it is a FIFO', { timeout: 2000 }, async () => {
    const fifo = path.join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    await expect(identifyKernel(fifo)).rejects.toMatchObject({ code: 'preflight_failed' });
  });
});

it('never breaks on any change to a real header', async () => {
  const originals = [
    bzImage(),
    elf(),
    arm64Image(),
    gzipSync(arm64Image()),
    readFileSync('/bin/sh').subarray(0, 8192),
  ];
  const changes = fc.array(fc.tuple(fc.nat(0x300), fc.nat(255)), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...originals),
      changes,
      fc.nat(8192),
      async (original, bytes, length) => {
        const changed = Buffer.from(original.subarray(0, length));
        for (const [offset, value] of bytes) if (offset < changed.length) changed[offset] = value;
        const kernel = await identifyKernel(file('changed', changed));
        if (kernel.format === 'unknown') expect(kernel.description).toMatch(/^an? /u);
        else expect(kernel.version ?? '').toMatch(/^[^\u0000-\u001f\u007f-\u009f]*$/u);
      },
    ),
    { numRuns: 300 },
  );
});
