import type { ByteStream } from './byte-stream.ts';

// cpio archives as kernels unpack them: Linux, Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c.

/** One entry of an archive, whoever made it: nothing of it can be trusted. */
export interface UnpackedEntry {
  type: 'file' | 'directory' | 'symlink' | 'other';
  name: Buffer;
  /** Bytes of content. */
  size: number;
  /** To be taken, if at all, before the next entry is asked for. */
  content(): AsyncIterable<Buffer>;
}

/** A magic number of six digits and thirteen fields of eight, all of them hexadecimal. */
const HEADER_BYTES = 110;
/** New ASCII format, without and with a sum of each content. */
const HEADER = /^07070[12][0-9a-f]{104}$/iu;
const FIELD_AT = { mode: 14, size: 54, nameSize: 94 } as const;
/** PATH_MAX: kernels skip an entry whose name is longer. */
const MAX_NAME = 4096;
const TRAILER = 'TRAILER!!!';
const ZERO_DIGIT = 0x30;
const TYPE_MASK = 0xf000;
const TYPES: Readonly<Record<number, UnpackedEntry['type']>> = {
  16384: 'directory',
  32768: 'file',
  40960: 'symlink',
};

/**
 * The entries of archives that follow one another, with zeros before, between and behind them. Ends at the stream's end, or
 * at what follows an archive and is no other one, which is left in the stream.
 * @param broken makes the error of an archive that no kernel unpacks
 */
export async function* readCpio(
  bytes: ByteStream,
  broken: (why: string) => Error,
): AsyncGenerator<UnpackedEntry> {
  for (let isInside = false; ; ) {
    if (!isInside) {
      await bytes.skipZeros();
      if ((await bytes.peek()) !== ZERO_DIGIT) return;
    }
    const header = (await bytes.take(HEADER_BYTES))?.toString('latin1');
    if (header === undefined) throw broken('it ends without a trailer');
    if (!HEADER.test(header)) throw broken('a header is wrong');
    const field = (at: number): number => Number.parseInt(header.slice(at, at + 8), 16);
    const [size, nameSize] = [field(FIELD_AT.size), field(FIELD_AT.nameSize)];
    const isNamed = nameSize > 0 && nameSize <= MAX_NAME;
    const name = isNamed ? untilNul(await bytes.takeAll(nameSize)) : null;
    await bytes.skip((isNamed ? 0 : nameSize) + padding(HEADER_BYTES + nameSize));
    isInside = name?.toString('latin1') !== TRAILER;
    let left = size;
    if (name !== null && isInside) {
      yield {
        type: TYPES[field(FIELD_AT.mode) & TYPE_MASK] ?? 'other',
        name,
        size,
        async *content() {
          while (left > 0) {
            const piece = await bytes.some(left);
            left -= piece.length;
            yield piece;
          }
        },
      };
    }
    await bytes.skip(left + padding(size));
  }
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end));
}

/** Up to a multiple of four bytes. */
function padding(length: number): number {
  return (4 - (length % 4)) % 4;
}
