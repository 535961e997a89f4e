import { BangerError } from '../errors.ts';
import { formatBytes, oneLine } from '../text.ts';
import { ByteStream } from './byte-stream.ts';
import { readCpio, type UnpackedEntry } from './cpio-reader.ts';
import { initrdFormatOf } from './initrd-image.ts';
import { unpackPart } from './initrd-unpacking.ts';
import { openRegular, piecesFrom, type RegularFile } from './regular-file.ts';

/** Of the file and of what it holds, each; all of it must fit into a machine's memory beside its kernel. */
const MAX_BYTES = 2 * 1024 ** 3;
/** A whole distribution's root has some 100,000. */
const MAX_ENTRIES = 500_000;
/** Compressed parts that follow one another; two are usual. */
const MAX_PARTS = 1000;
/** How many bytes tell what a part is. */
const MAGIC_BYTES = 8;

export interface InitrdOptions {
  signal?: AbortSignal;
}

/**
 * The files in an initrd, in the order in which a kernel unpacks them: one archive or several, each of them, or several
 * together, compressed or not (init/initramfs.c, unpack_to_rootfs). What follows a part that xz, bzip2, lz4 or lzop unpacked
 * is not looked for. Needs no memory that grows with what is in it.
 * @throws BangerError `corrupt` for what no kernel unpacks whole; `preflight_failed` when it is missing or unreadable, or
 * cannot be looked into for want of a tool (with the package that has it as a hint) or for its size
 */
export async function* readInitrd(path: string, options: InitrdOptions = {}): AsyncGenerator<UnpackedEntry> {
  const file = openRegular(path);
  try {
    if (file.size > MAX_BYTES) throw tooLarge(path);
    const limits = { bytes: MAX_BYTES, entries: MAX_ENTRIES };
    for await (const entry of partsOf(file, path, limits, options)) {
      limits.entries -= 1;
      if (limits.entries < 0) throw tooLarge(path);
      yield entry;
    }
  } finally {
    file.close();
  }
}

function tooLarge(path: string): BangerError {
  const most = `${formatBytes(MAX_BYTES)}, ${MAX_ENTRIES} files or ${MAX_PARTS} parts`;
  return new BangerError('preflight_failed', `${oneLine(path)} is not looked into: it has more than ${most}`);
}

async function* partsOf(
  file: RegularFile,
  path: string,
  limits: { bytes: number },
  { signal }: InitrdOptions,
): AsyncGenerator<UnpackedEntry> {
  const broken = (why: string): BangerError =>
    new BangerError('corrupt', `${oneLine(path)} is damaged: ${oneLine(why)}`);
  const tooShort = (): BangerError => broken('it ends too early');
  for (let [position, parts] = [0, 0]; ; parts += 1) {
    if (parts > MAX_PARTS) throw tooLarge(path);
    const plain = new ByteStream(piecesFrom(file, position, signal), tooShort);
    yield* readCpio(plain, broken);
    if ((await plain.peek()) === null) return;
    position += plain.taken;
    await plain.close();
    const format = initrdFormatOf(file.readAt(position, MAGIC_BYTES));
    if (format === null || format === 'cpio') {
      throw broken(`what follows its first ${position} bytes is no archive`);
    }
    const part = await unpackPart(format, piecesFrom(file, position, signal), broken, signal);
    const unpacked = new ByteStream(bounded(part.output, limits, path), tooShort);
    try {
      yield* readCpio(unpacked, broken);
      if ((await unpacked.peek()) !== null) throw broken('an archive in it is followed by what is none');
    } finally {
      await unpacked.close();
    }
    const consumed = part.consumed();
    if (consumed === null) return;
    position += consumed;
  }
}

async function* bounded(
  source: AsyncIterable<Buffer>,
  limits: { bytes: number },
  path: string,
): AsyncGenerator<Buffer> {
  for await (const piece of source) {
    limits.bytes -= piece.length;
    if (limits.bytes < 0) throw tooLarge(path);
    yield piece;
  }
}
