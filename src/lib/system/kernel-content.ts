import { constants, gunzipSync } from 'node:zlib';
import { BangerError } from '../errors.ts';
import { initrdFormatOf } from './initrd-image.ts';
import { unpackPart } from './initrd-unpacking.ts';
import { openRegular, piecesFrom, type RegularFile } from './regular-file.ts';

/** What stands around the gzip file of a configuration in a kernel (kernel/configs.c; scripts/extract-ikconfig). */
const BEFORE = Buffer.from('IKCFG_ST\x1f\x8b\x08', 'latin1');
const MARK_BYTES = 8;
const OVERLAP_BYTES = 1024;
const AFTER = 'IKCFG_ED';
/** Of a configuration, packed and unpacked; a distribution's has 70 and 300 KB. */
const MAX_PACKED_BYTES = 1024 * 1024;
const MAX_BYTES = 8 * 1024 * 1024;
/** Of a kernel that is looked through: a distribution's has some 60 MiB. */
const MAX_KERNEL_BYTES = 512 * 1024 * 1024;
/** Since this version of the boot protocol, a bzImage says where its packed kernel lies. */
const PROTOCOL_WITH_PAYLOAD = 0x0208;

export interface KernelContent {
  /** What it was built with; null where that is not in it (CONFIG_IKCONFIG). */
  config: string | null;
  /** Which of the texts that were looked for are in it. */
  marks: ReadonlySet<string>;
}

/**
 * Looks through a kernel, unpacked if need be; one that cannot be unpacked says nothing.
 * @param wanted texts of Latin-1 characters, each shorter than a KiB
 * @throws BangerError `preflight_failed` when the file is missing, unreadable or no regular one
 */
export async function readKernelContent(
  path: string,
  wanted: readonly string[],
  signal?: AbortSignal,
): Promise<KernelContent> {
  const file = openRegular(path);
  const marks = new Set<string>();
  try {
    const packed = await search(await unpackKernel(file, signal), wanted, marks);
    return { config: packed === null ? null : unpackConfig(packed), marks };
  } catch (error) {
    signal?.throwIfAborted();
    const isUnpacking = error instanceof BangerError || (error instanceof Error && 'code' in error);
    if (!isUnpacking) throw error;
    return { config: null, marks };
  } finally {
    file.close();
  }
}

function unpackConfig(packed: Buffer): string {
  // What is behind it in the kernel is cut off, or passed over.
  const end = packed.indexOf(AFTER);
  const options = { maxOutputLength: MAX_BYTES, finishFlush: constants.Z_SYNC_FLUSH };
  return gunzipSync(end === -1 ? packed : packed.subarray(0, end), options).toString('latin1');
}

/**
 * What a kernel is once it is unpacked: of a bzImage the ELF file (vmlinux) in it, of another file that itself.
 * @throws BangerError `corrupt`; `preflight_failed` for want of a tool
 */
export async function unpackKernel(
  file: RegularFile,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<Buffer>> {
  const start = payloadOf(file);
  const format = start === 0 ? null : initrdFormatOf(file.readAt(start, MARK_BYTES));
  const pieces = piecesFrom(file, start, signal);
  if (format === null || format === 'cpio') return pieces;
  const broken = (why: string): Error => new BangerError('corrupt', why);
  return (await unpackPart(format, pieces, broken, signal)).output;
}

/** Where the packed kernel of a bzImage begins, 0 in another file. Linux, Documentation/arch/x86/boot.rst. */
function payloadOf(file: RegularFile): number {
  const head = file.readAt(0, 1024);
  const isSetup = head.length === 1024 && head.toString('latin1', 0x202, 0x206) === 'HdrS';
  if (!isSetup || head.readUInt16LE(0x206) < PROTOCOL_WITH_PAYLOAD) return 0;
  const setupSectors = head.readUInt8(0x1f1) || 4;
  return (setupSectors + 1) * 512 + head.readUInt32LE(0x248);
}

/** Adds to `marks` what is found; returns the packed configuration, with what follows it. */
async function search(
  content: AsyncIterable<Buffer>,
  wanted: readonly string[],
  marks: Set<string>,
): Promise<Buffer | null> {
  let left = MAX_KERNEL_BYTES;
  let kept: Buffer = Buffer.alloc(0);
  let config: { pieces: Buffer[]; missing: number } | null = null;
  for await (const piece of content) {
    left -= piece.length;
    const window = Buffer.concat([kept, piece]);
    // What lies across the border of two pieces is found with the next one.
    kept = Buffer.from(window.subarray(Math.max(0, window.length - OVERLAP_BYTES)));
    for (const mark of wanted) if (window.includes(mark, 0, 'latin1')) marks.add(mark);
    if (config === null) {
      const at = window.indexOf(BEFORE);
      if (at !== -1) config = { pieces: [], missing: MAX_PACKED_BYTES };
      config?.pieces.push(Buffer.from(window.subarray(at + MARK_BYTES)));
    } else if (config.missing > 0) {
      config.pieces.push(Buffer.from(piece));
      config.missing -= piece.length;
    }
    if (left <= 0) break;
  }
  return config === null ? null : Buffer.concat(config.pieces);
}
