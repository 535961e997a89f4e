import { constants, gunzipSync } from 'node:zlib';
import { BangerError } from '../errors.ts';
import { initrdFormatOf } from './initrd-image.ts';
import { unpackPart } from './initrd-unpacking.ts';
import { openRegular, piecesFrom, type RegularFile } from './regular-file.ts';

/** What stands around the gzip file of a configuration in a kernel (kernel/configs.c; scripts/extract-ikconfig). */
const BEFORE = Buffer.from('IKCFG_ST\x1f\x8b\x08', 'latin1');
const MARK_BYTES = 8;
const AFTER = 'IKCFG_ED';
/** Of a configuration, packed and unpacked; a distribution's has 70 and 300 KB. */
const MAX_PACKED_BYTES = 1024 * 1024;
const MAX_BYTES = 8 * 1024 * 1024;
/** Of a kernel that is looked through: a distribution's has some 60 MiB. */
const MAX_KERNEL_BYTES = 512 * 1024 * 1024;
/** Since this version of the boot protocol, a bzImage says where its packed kernel lies. */
const PROTOCOL_WITH_PAYLOAD = 0x0208;

/**
 * The configuration that a kernel was built with; null where it has none in it (CONFIG_IKCONFIG), or it cannot be looked
 * into.
 * @throws BangerError `preflight_failed` when the file is missing, unreadable or no regular one
 */
export async function readKernelConfig(path: string, signal?: AbortSignal): Promise<string | null> {
  const file = openRegular(path);
  try {
    const packed = await findConfig(await contentOf(file, signal));
    if (packed === null) return null;
    // What is behind it in the kernel is cut off, or passed over.
    const end = packed.indexOf(AFTER);
    const options = { maxOutputLength: MAX_BYTES, finishFlush: constants.Z_SYNC_FLUSH };
    return gunzipSync(end === -1 ? packed : packed.subarray(0, end), options).toString('latin1');
  } catch (error) {
    signal?.throwIfAborted();
    const isUnpacking = error instanceof BangerError || (error instanceof Error && 'code' in error);
    if (isUnpacking) return null;
    throw error;
  } finally {
    file.close();
  }
}

async function contentOf(file: RegularFile, signal: AbortSignal | undefined): Promise<AsyncIterable<Buffer>> {
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

/** The gzip file, with what follows it. */
async function findConfig(content: AsyncIterable<Buffer>): Promise<Buffer | null> {
  let left = MAX_KERNEL_BYTES;
  let kept: Buffer = Buffer.alloc(0);
  let found: Buffer[] | null = null;
  let missing = MAX_PACKED_BYTES;
  for await (const piece of content) {
    left -= piece.length;
    if (found === null) {
      const window = Buffer.concat([kept, piece]);
      const at = window.indexOf(BEFORE);
      // A mark across the border of two pieces is found with the next one.
      kept = window.subarray(Math.max(0, window.length - BEFORE.length));
      if (at !== -1) {
        found = [Buffer.from(window.subarray(at + MARK_BYTES))];
        missing -= window.length - at;
      }
    } else {
      found.push(Buffer.from(piece));
      missing -= piece.length;
    }
    if (missing <= 0 || left <= 0) break;
  }
  return found === null ? null : Buffer.concat(found);
}
