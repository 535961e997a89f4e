import { BangerError } from '../errors.ts';
import { readContent } from '../ext4/content.ts';
import type { Inode } from '../ext4/inode.ts';
import { lookup } from '../ext4/lookup.ts';
import type { Volume } from '../ext4/volume.ts';
import type { KernelArch } from '../system/kernel-image.ts';
import { oneLine } from '../text.ts';

// Whether a kernel could execute a file of an image, as execve(2), fs/binfmt_elf.c and fs/binfmt_script.c have it.

export type Runnable =
  | { verdict: 'runs'; detail: string; inode: Inode }
  /** Only some kernels run it. */
  | { verdict: 'may run'; detail: string; inode: Inode }
  | { verdict: 'cannot run'; detail: string }
  | { verdict: 'absent' };

/** BINPRM_BUF_SIZE: how much of a first line counts, in bytes. */
const SCRIPT_BYTES = 256;
/** An interpreter may be a script, but not without end (fs/exec.c, exec_binprm). */
const MAX_INTERPRETERS = 5;
/** Program headers mostly lie within the first of these, else within the second; in bytes. */
const HEAD_BYTES = [64 * 1024, 32 * 1024 * 1024] as const;
const PATH_MAX = 4096;
const ANY_EXECUTE = 0o111;

/** Numbers of machines (include/uapi/linux/elf-em.h) that kernels run, and those that some run besides. */
const MACHINES: Readonly<Record<KernelArch, { own: number; compatible: number | null; option: string }>> = {
  x86_64: { own: 62, compatible: 3, option: 'CONFIG_IA32_EMULATION' },
  i386: { own: 3, compatible: null, option: '' },
  arm64: { own: 183, compatible: 40, option: 'CONFIG_COMPAT' },
};
const MACHINE_NAMES: Readonly<Record<number, string>> = {
  3: 'i386',
  8: 'MIPS',
  21: '64-bit PowerPC',
  22: 'S/390',
  40: '32-bit Arm',
  62: 'x86_64',
  183: 'arm64',
  243: 'RISC-V',
  258: 'LoongArch',
};

/**
 * Whether a kernel can execute what there is under a path of an image, symbolic links followed inside it.
 * @param arch null where it is not known for which machine
 * @throws BangerError `corrupt`, or `preflight_failed` when it is encrypted
 */
export function examineProgram(volume: Volume, path: string, arch: KernelArch | null, depth = 0): Runnable {
  const shown = oneLine(path);
  const cannot = (why: string): Runnable => ({ verdict: 'cannot run', detail: `${shown} ${why}` });
  const inode = find(volume, path);
  if (inode === 'loop') return cannot('goes through too many symbolic links');
  if (inode === null) {
    // A link that leads nowhere is told, though to the kernel it is nothing at all.
    return find(volume, path, false) === null
      ? { verdict: 'absent' }
      : cannot('is a link that leads nowhere');
  }
  if (inode.type !== 'file') return cannot(`is no regular file, but a ${inode.type}`);
  if ((inode.mode & ANY_EXECUTE) === 0) return cannot(`is not executable (mode 0${inode.mode.toString(8)})`);
  const head = readContent(volume, inode, HEAD_BYTES[0]);
  if (head.toString('latin1', 0, 4) === '\x7fELF') return examineElf(volume, inode, shown, arch, head);
  const interpreter = interpreterOf(head);
  if (interpreter === null) return cannot('is neither an ELF program nor a script with an interpreter');
  if (depth === MAX_INTERPRETERS) return cannot('has too many interpreters behind one another');
  const found = examineProgram(volume, interpreter, arch, depth + 1);
  if (found.verdict === 'absent')
    return cannot(`is a script for ${oneLine(interpreter)}, which is not there`);
  const detail = `${shown} is a script: ${found.detail}`;
  return found.verdict === 'cannot run' ? { ...found, detail } : { ...found, detail, inode };
}

function find(volume: Volume, path: string, follow = true): Inode | 'loop' | null {
  try {
    return lookup(volume, path, { follow });
  } catch (error) {
    if (error instanceof BangerError && error.code === 'preflight_failed') return 'loop';
    throw error;
  }
}

/** What the first line says; null when it is none of a script. */
function interpreterOf(head: Buffer): string | null {
  const line = head.toString('utf8', 0, SCRIPT_BYTES).split('\n')[0] ?? '';
  return /^#![ \t]*([^ \t\0]+)/u.exec(line)?.[1] ?? null;
}

function examineElf(
  volume: Volume,
  inode: Inode,
  shown: string,
  arch: KernelArch | null,
  start: Buffer,
): Runnable {
  const cannot = (why: string): Runnable => ({ verdict: 'cannot run', detail: `${shown} ${why}` });
  const machine = machineOf(start);
  if (machine === null) return cannot('is a broken ELF file');
  const known = arch === null ? null : MACHINES[arch];
  const isOwn = known === null || machine === known.own;
  const named = MACHINE_NAMES[machine] ?? `machine ${machine}`;
  if (!isOwn && machine !== known?.compatible)
    return cannot(`is a program for ${named}, the kernel for ${arch}`);
  const needed = elfInterpreter(start) ?? elfInterpreter(readContent(volume, inode, HEAD_BYTES[1]));
  if (needed === null) return cannot('is a broken ELF file');
  if (needed !== 'none') {
    const loader = examineLoader(volume, needed.path, machine);
    if (loader !== null) return cannot(`needs ${oneLine(needed.path)}, which ${loader}`);
  }
  const detail = `${shown} is a program for ${named}`;
  if (isOwn) return { verdict: 'runs', detail, inode };
  return { verdict: 'may run', detail: `${detail}, which the kernel runs if it has ${known?.option}`, inode };
}

/** What is wrong with a dynamic linker; null when nothing is. */
function examineLoader(volume: Volume, path: string, machine: number): string | null {
  const inode = find(volume, path);
  if (inode === null) return 'is not there';
  if (inode === 'loop') return 'goes through too many symbolic links';
  if (inode.type !== 'file') return 'is no regular file';
  if ((inode.mode & ANY_EXECUTE) === 0) return 'is not executable';
  const own = machineOf(readContent(volume, inode, HEAD_BYTES[0]));
  return own === machine ? null : 'is no program for the same machine';
}

const LITTLE_ENDIAN = 1;
const CLASS_64 = 2;
const ELF_HEADER_BYTES = { narrow: 52, wide: 64 } as const;
const PT_INTERP = 3;

/** e_machine; null of what is no ELF file, or of a byte order that none of our kernels has. elf(5). */
function machineOf(head: Buffer): number | null {
  const isElf = head.length >= ELF_HEADER_BYTES.narrow && head.toString('latin1', 0, 4) === '\x7fELF';
  return isElf && head.readUInt8(5) === LITTLE_ENDIAN ? head.readUInt16LE(18) : null;
}

/** The dynamic linker that a program names; null when its program headers, or the name, are not within `head`. */
function elfInterpreter(head: Buffer): { path: string } | 'none' | null {
  const isWide = head.readUInt8(4) === CLASS_64;
  if (isWide && head.length < ELF_HEADER_BYTES.wide) return null;
  const long = (at: number): number => (isWide ? Number(head.readBigUInt64LE(at)) : head.readUInt32LE(at));
  const first = long(isWide ? 0x20 : 0x1c);
  const [each, count] = [head.readUInt16LE(isWide ? 0x36 : 0x2a), head.readUInt16LE(isWide ? 0x38 : 0x2c)];
  if (each < (isWide ? 56 : 32) || count === 0 || first + each * count > head.length) return null;
  for (let at = first; at < first + each * count; at += each) {
    if (head.readUInt32LE(at) !== PT_INTERP) continue;
    const from = long(at + (isWide ? 8 : 4));
    const size = long(at + (isWide ? 32 : 16));
    if (size < 2 || size > PATH_MAX || from + size > head.length) return null;
    return { path: head.toString('utf8', from, from + size).replace(/\0.*$/su, '') };
  }
  return 'none';
}
