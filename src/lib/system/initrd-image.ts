import { identifyDisk } from './disk-format.ts';
import { openRegular } from './regular-file.ts';

/** An archive, or what compresses one. */
export type InitrdFormat = 'cpio' | 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lzo' | 'lz4' | 'zstd';

/** What an initial ramdisk is. `description` is a phrase with its article, to stand after "is". */
export type InitrdImage = { format: InitrdFormat } | { format: 'unknown'; description: string };

/**
 * How what the kernel unpacks begins, one character a byte: an archive (Linux,
 * Documentation/driver-api/early-userspace/buffer-format.rst) or the compressors of lib/decompress.c. Archives may
 * follow one another, compressed or not; the first is what is looked at.
 */
const BEGINNINGS: readonly (readonly [InitrdFormat, string])[] = [
  ['cpio', '070701'],
  ['cpio', '070702'],
  ['gzip', '\x1f\x8b'],
  ['bzip2', 'BZh'],
  ['lzma', '\x5d\x00\x00'],
  ['xz', '\xfd7zXZ\0'],
  ['lzo', '\x89LZO\0'],
  // The legacy format alone: see below.
  ['lz4', '\x02\x21\x4c\x18'],
  ['zstd', '\x28\xb5\x2f\xfd'],
];
const LZ4_FRAME = '\x04\x22\x4d\x18';

/** How the first of these bytes, eight at least, are to be unpacked; null for what no kernel unpacks. */
export function initrdFormatOf(head: Buffer): InitrdFormat | null {
  const text = head.toString('latin1', 0, 8);
  return BEGINNINGS.find(([, beginning]) => text.startsWith(beginning))?.[0] ?? null;
}

/**
 * Names what an initrd is by reading a few KiB of it.
 * @throws BangerError `preflight_failed` when it is missing, unreadable or no regular file.
 */
export async function identifyInitrd(path: string): Promise<InitrdImage> {
  const file = openRegular(path);
  let head: Buffer;
  try {
    head = file.readAt(0, 8);
  } finally {
    file.close();
  }
  const format = initrdFormatOf(head);
  if (format !== null) return { format };
  if (head.toString('latin1').startsWith(LZ4_FRAME)) {
    return {
      format: 'unknown',
      description: 'an lz4 file of the frame format, which no kernel unpacks (lz4 -l makes the other)',
    };
  }
  return { format: 'unknown', description: (await identifyDisk(path)).description };
}
