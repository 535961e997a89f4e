import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { PreflightError } from '../errors.ts';
import { toolPath } from './process.ts';

/** Elf64_Phdr's p_type of the path to a dynamic linker (elf(5)). */
const PT_INTERP = 3;

/** Whether an ELF file of this machine's class asks for a dynamic linker; false for what is no ELF. */
function isStaticElf(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(4096);
    const length = readSync(file, head, 0, head.length, 0);
    if (length < 64 || head.readUInt32BE(0) !== 0x7f454c46 || head[4] !== 2) return false;
    const offset = Number(head.readBigUInt64LE(32));
    const [size, count] = [head.readUInt16LE(54), head.readUInt16LE(56)];
    for (let index = 0; index < count; index += 1) {
      const at = offset + index * size;
      if (at + 4 > length) return false;
      if (head.readUInt32LE(at) === PT_INTERP) return false;
    }
    return true;
  } finally {
    closeSync(file);
  }
}

/**
 * The host's statically linked busybox, which runs in any guest of this architecture.
 * @throws PreflightError
 */
export async function findStaticBusybox(): Promise<string> {
  const candidates = toolPath()
    .split(':')
    .map((directory) => join(directory, 'busybox'))
    .filter((path) => existsSync(path));
  const found = candidates.find(isStaticElf);
  if (found !== undefined) return found;
  throw new PreflightError('busybox', [
    {
      message:
        candidates[0] === undefined
          ? 'busybox is not installed'
          : `${candidates[0]} is not statically linked`,
      mend: 'apt-get install busybox-static',
    },
  ]);
}
