import { basename } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { BangerError, messageOf } from '../errors.ts';
import { run } from '../system/process.ts';
import { openRegular } from '../system/regular-file.ts';
import { oneLine } from '../text.ts';

/** How a module's file may be named (kernel/module, scripts/Makefile.modinst). */
const MODULE_FILE = /^(.+)\.ko(\.gz|\.xz|\.zst)?$/u;
/** The largest of Debian's has 15 MiB with its debug symbols stripped. */
const MAX_BYTES = 64 * 1024 * 1024;

/** ELF: elf(5). */
const ELF64_LITTLE = '\x7fELF\x02\x01';
const SECTION_HEADER_BYTES = 64;

/** A module's name as the kernel has it: file names and lists may say `virtio-blk`. */
export function moduleName(name: string): string {
  return name.replaceAll('-', '_');
}

/** The module that a file is, by its path; null of another file. */
export function moduleOfFile(path: string): string | null {
  const [, name] = MODULE_FILE.exec(basename(path)) ?? [];
  return name === undefined ? null : moduleName(name);
}

export interface KernelModule {
  /** The ELF file. */
  content: Buffer;
  /** Names of modules that must be there first. */
  depends: string[];
}

/**
 * Reads a module, compressed or not, and what it depends on.
 * @throws BangerError `preflight_failed` when it cannot be read or is no module
 */
export async function readModule(path: string): Promise<KernelModule> {
  const content = await readContent(path);
  const info = infoOf(content);
  if (info === null)
    throw new BangerError('preflight_failed', `${oneLine(path)} is not a kernel module of a 64-bit machine`);
  const depends = info.flatMap((line) => /^depends=(.*)$/su.exec(line)?.[1]?.split(',') ?? []);
  return { content, depends: depends.filter((name) => name !== '').map(moduleName) };
}

async function readContent(path: string): Promise<Buffer> {
  const file = openRegular(path);
  let bytes: Buffer;
  try {
    if (file.size > MAX_BYTES)
      throw new BangerError(
        'preflight_failed',
        `${oneLine(path)} has ${file.size} bytes: no module has as many`,
      );
    bytes = file.readAt(0, file.size);
  } finally {
    file.close();
  }
  const limit = { maxOutputLength: MAX_BYTES };
  try {
    return await unpack(path, bytes, limit);
  } catch (error) {
    if (error instanceof BangerError || !(error instanceof Error)) throw error;
    const message = `${oneLine(path)} cannot be unpacked: ${messageOf(error)}`;
    throw new BangerError('preflight_failed', message, { cause: error });
  }
}

async function unpack(path: string, bytes: Buffer, limit: { maxOutputLength: number }): Promise<Buffer> {
  switch (MODULE_FILE.exec(path)?.[2]) {
    case '.gz':
      return gunzipSync(bytes, limit);
    case '.zst':
      return zstdDecompressSync(bytes, limit);
    case '.xz': {
      // Its text would not be its bytes: base64 passes them through.
      const script = 'xz --decompress --stdout -- "$1" | base64';
      const { stdout } = await run('sh', ['-c', script, 'sh', path]);
      return Buffer.from(stdout, 'base64');
    }
    default:
      return bytes;
  }
}

/** What stands in the section `.modinfo`, NUL-terminated (include/linux/moduleparam.h); null for what is no module. */
function infoOf(elf: Buffer): string[] | null {
  try {
    if (elf.toString('latin1', 0, ELF64_LITTLE.length) !== ELF64_LITTLE) return null;
    const headers = Number(elf.readBigUInt64LE(40));
    const [count, names] = [elf.readUInt16LE(60), elf.readUInt16LE(62)];
    const section = (index: number): { name: number; bytes: Buffer } => {
      const at = headers + index * SECTION_HEADER_BYTES;
      const start = Number(elf.readBigUInt64LE(at + 24));
      return {
        name: elf.readUInt32LE(at),
        bytes: elf.subarray(start, start + Number(elf.readBigUInt64LE(at + 32))),
      };
    };
    const { bytes: table } = section(names);
    for (let index = 0; index < count; index += 1) {
      const { name, bytes } = section(index);
      const end = table.indexOf(0, name);
      if (table.toString('latin1', name, end) === '.modinfo') return bytes.toString('latin1').split('\0');
    }
    return null;
  } catch (error) {
    // Its headers lead out of the file.
    if (error instanceof RangeError) return null;
    throw error;
  }
}
