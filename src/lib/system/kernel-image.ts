import { gunzipSync, constants as zlib } from 'node:zlib';
import { oneLine } from '../text.ts';
import { identifyDisk } from './disk-format.ts';
import { openRegular, type RegularFile } from './regular-file.ts';

export type KernelArch = 'x86_64' | 'i386' | 'arm64';

/** What a kernel file is. `version` is what `uname -r` will say, safe to print. */
export type KernelImage =
  | { format: 'bzImage' | 'vmlinux' | 'arm64'; version: string | null; arch: KernelArch }
  | { format: 'unknown'; description: string };

export interface KernelOptions {
  signal?: AbortSignal;
}

/** All headers lie within it: the ELF header, the arm64 one, the setup header of the x86 boot protocol. */
const HEAD_BYTES = 4096;
/** Read at a time while the banner is looked for. */
const CHUNK_BYTES = 1024 * 1024;
/** `Linux version ` and a release: UTS_RELEASE has 64 bytes at most (include/linux/uts.h, __NEW_UTS_LEN). */
const BANNER_BYTES = 128;
/** Debug sections follow the data; a vmlinux has its banner in the first tens of MiB. */
const MAX_SCAN_BYTES = 1024 * 1024 * 1024;
/** A vmlinux has the words a handful of times; a file made of them shall not keep us busy. */
const MAX_CANDIDATES = 1000;

const BANNER = 'Linux version ';
/** A program that only speaks of `Linux version %s` has no kernel in it. */
const RELEASE = /^Linux version (\d+\.[\x21-\x7e]{1,64}) /u;

const unknown = (description: string): KernelImage => ({ format: 'unknown', description });

function firstWord(text: string): string | null {
  const word = oneLine(text).trim().split(' ')[0] ?? '';
  return word === '' ? null : word.slice(0, 128);
}

/** The release in the banner that each Linux holds (init/version.c), read through once in bounded memory. */
async function findBanner(file: RegularFile, signal: AbortSignal | undefined): Promise<string | null> {
  const buffer = Buffer.alloc(BANNER_BYTES + CHUNK_BYTES);
  let kept = 0;
  let position = 0;
  let candidates = 0;
  while (position < Math.min(file.size, MAX_SCAN_BYTES)) {
    signal?.throwIfAborted();
    const count = await file.readInto(buffer.subarray(kept, kept + CHUNK_BYTES), position);
    if (count === 0) break;
    position += count;
    const window = buffer.subarray(0, kept + count);
    for (let at = window.indexOf(BANNER); at >= 0; at = window.indexOf(BANNER, at + 1)) {
      const release = RELEASE.exec(window.toString('latin1', at, at + BANNER_BYTES))?.[1];
      if (release !== undefined) return release;
      candidates += 1;
      if (candidates === MAX_CANDIDATES) return null;
    }
    // A banner across the border of two chunks is found with the next one.
    kept = Math.min(BANNER_BYTES, window.length);
    window.copy(buffer, 0, window.length - kept);
  }
  return null;
}

/** Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */
function identifyBzImage(file: RegularFile, head: Buffer): KernelImage {
  const protocol = head.readUInt16LE(0x206);
  // 0 stands for 4, for the sake of boot loaders older than the field.
  const setupSectors = head.readUInt8(0x1f1) || 4;
  const pointer = protocol >= 0x0200 ? head.readUInt16LE(0x20e) : 0;
  const has64BitEntry = protocol >= 0x020c && (head.readUInt16LE(0x236) & 0x1) !== 0;
  const arch = has64BitEntry ? 'x86_64' : 'i386';
  if (pointer === 0 || pointer >= setupSectors * 0x200) return { format: 'bzImage', version: null, arch };
  // To the NUL: `6.1.0-18-cloud-amd64 (builder@host) #1 SMP …`.
  const text = file.readAt(0x200 + pointer, 256);
  const end = text.indexOf(0);
  return {
    format: 'bzImage',
    version: firstWord(text.toString('latin1', 0, end < 0 ? text.length : end)),
    arch,
  };
}

/** ELF: elf(5); machine numbers: include/uapi/linux/elf-em.h. */
const ELF_MACHINES: Readonly<Record<number, KernelArch>> = { 3: 'i386', 62: 'x86_64', 183: 'arm64' };
const ELF_LITTLE_ENDIAN = 1;
const ELF_EXECUTABLE = 2;
const ELF_SHARED = 3;

async function identifyVmlinux(
  file: RegularFile,
  head: Buffer,
  signal: AbortSignal | undefined,
): Promise<KernelImage> {
  const type = head.readUInt16LE(16);
  const machine = head.readUInt16LE(18);
  const arch = ELF_MACHINES[machine];
  if (head.readUInt8(5) !== ELF_LITTLE_ENDIAN || arch === undefined) {
    return unknown('an ELF file for a machine that is neither x86 nor arm64');
  }
  if (type !== ELF_EXECUTABLE && type !== ELF_SHARED) {
    return unknown('an ELF object (a kernel module?), not a kernel');
  }
  const version = await findBanner(file, signal);
  if (version === null) return unknown('an ELF program without a Linux banner, not a kernel');
  return { format: 'vmlinux', version, arch };
}

/** Linux, Documentation/arch/arm64/booting.rst: the magic number of the decompressed image, at byte 56. */
function isArm64Image(head: Buffer): boolean {
  return head.toString('latin1', 56, 60) === 'ARM\x64';
}

/** What a gzip file that is no kernel holds: an Image.gz must be unpacked first, since no VMM does it. */
function describeGzip(head: Buffer): string {
  try {
    const inner = gunzipSync(head, { finishFlush: zlib.Z_SYNC_FLUSH, maxOutputLength: 8 * 1024 * 1024 });
    if (isArm64Image(inner)) return 'a gzip-compressed arm64 Image (unpack it with gunzip)';
    if (inner.toString('latin1', 0, 4) === '\x7fELF')
      return 'a gzip-compressed ELF file (unpack it with gunzip)';
  } catch {
    return 'a damaged gzip-compressed file';
  }
  return 'a gzip-compressed file';
}

async function identify(file: RegularFile, path: string, signal?: AbortSignal): Promise<KernelImage> {
  const head = file.readAt(0, HEAD_BYTES);
  const text = (offset: number, length: number): string => head.toString('latin1', offset, offset + length);
  if (head.length >= 0x240 && text(0x202, 4) === 'HdrS' && head.readUInt16LE(0x1fe) === 0xaa55) {
    return identifyBzImage(file, head);
  }
  if (head.length >= 64 && text(0, 4) === '\x7fELF') return identifyVmlinux(file, head, signal);
  if (head.length >= 64 && isArm64Image(head)) {
    return { format: 'arm64', version: await findBanner(file, signal), arch: 'arm64' };
  }
  if (head.length >= 64 && text(56, 4) === 'RSC\x05') return unknown('a RISC-V kernel image');
  // Linux, drivers/firmware/efi/libstub/zboot-header.S
  if (text(0, 2) === 'MZ' && text(4, 4) === 'zimg') {
    return unknown('a compressed EFI kernel (vmlinuz.efi), which only UEFI firmware unpacks');
  }
  if (text(0, 2) === 'MZ') return unknown('an EFI program (a unified kernel image?)');
  if (text(0, 4) === '\x27\x05\x19\x56') return unknown('a U-Boot image');
  if (text(0, 2) === '\x1f\x8b') return unknown(describeGzip(head));
  return unknown((await identifyDisk(path)).description);
}

/**
 * Names what a kernel file is: its format, its release and its machine. A vmlinux of any size is read once, a MiB at a
 * time.
 * @throws BangerError `preflight_failed` when it is missing, unreadable or no regular file; the signal's reason when
 * aborted.
 */
export async function identifyKernel(path: string, options: KernelOptions = {}): Promise<KernelImage> {
  const file = openRegular(path);
  try {
    return await identify(file, path, options.signal);
  } finally {
    file.close();
  }
}
