import { BangerError } from '../errors.ts';
import { unpackKernel } from '../system/kernel-content.ts';
import { openRegular } from '../system/regular-file.ts';
import { oneLine } from '../text.ts';
import { type UnnamedFile, unnamedFile } from './unnamed-file.ts';

/** A distribution's has some 60 MiB; bytes. */
const MAX_BYTES = 512 * 2 ** 20;
/** ELF, of 64 bits (elf(5)). */
const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2]);

/**
 * A kernel as a monitor wants it that unpacks nothing: an ELF file (vmlinux), of a bzImage the one in it.
 * @throws BangerError `preflight_failed` for a kernel in which there is none
 */
export async function vmlinuxOf(kernel: string, signal: AbortSignal): Promise<UnnamedFile> {
  const file = openRegular(kernel);
  try {
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of await unpackKernel(file, signal)) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes > MAX_BYTES) throw none(kernel, `it holds more than ${MAX_BYTES} bytes`);
    }
    const content = Buffer.concat(pieces);
    if (!content.subarray(0, MAGIC.length).equals(MAGIC)) throw none(kernel, 'there is no ELF file in it');
    return unnamedFile(content);
  } finally {
    file.close();
  }
}

function none(kernel: string, why: string): BangerError {
  return new BangerError('preflight_failed', `kernel ${oneLine(kernel)} cannot be unpacked: ${why}`, {
    hints: ['boot it with QEMU: --vmm qemu'],
  });
}
