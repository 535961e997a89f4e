import { cpioOf } from './cpio.ts';
import { CONSOLE } from './initramfs.ts';

/** What the guest says once a program of it has run. */
export const PROBE_SENTINEL = 'banger-probe: a guest runs here';

/** Where the program is put; any page of the lower half would do. */
const BASE = 0x400000;
const HEADER_BYTES = 64;
const SEGMENT_BYTES = 56;
const ENTRY = HEADER_BYTES + SEGMENT_BYTES;

/** System calls of x86_64 (Linux, arch/x86/entry/syscalls/syscall_64.tbl). */
const SYSCALL = { write: 1, pause: 34 } as const;

/** The initial ramdisk of the smallest guest there is: a program that says a line on the console, and waits to be ended. */
export function probeInitramfs(): Buffer {
  return Buffer.concat(
    cpioOf([
      { path: 'dev', type: 'directory', mode: 0o755 },
      { path: 'dev/console', type: 'character', mode: 0o600, device: CONSOLE },
      { path: 'init', type: 'file', mode: 0o755, content: sayingProgram(`${PROBE_SENTINEL}\n`) },
    ]),
  );
}

/** An ELF executable (elf(5)) of one segment, which needs no library and no shell. */
function sayingProgram(text: string): Buffer {
  const message = Buffer.from(text);
  const code = sayingCode(message.length);
  const size = ENTRY + code.length + message.length;
  const header = Buffer.alloc(HEADER_BYTES);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // ELF, 64 bits, little-endian, version 1
  header.writeUInt16LE(2, 16); // e_type: ET_EXEC
  header.writeUInt16LE(62, 18); // e_machine: EM_X86_64
  header.writeUInt32LE(1, 20); // e_version
  header.writeBigUInt64LE(BigInt(BASE + ENTRY), 24); // e_entry
  header.writeBigUInt64LE(BigInt(HEADER_BYTES), 32); // e_phoff
  header.writeUInt16LE(HEADER_BYTES, 52); // e_ehsize
  header.writeUInt16LE(SEGMENT_BYTES, 54); // e_phentsize
  header.writeUInt16LE(1, 56); // e_phnum
  const segment = Buffer.alloc(SEGMENT_BYTES);
  segment.writeUInt32LE(1, 0); // p_type: PT_LOAD
  segment.writeUInt32LE(5, 4); // p_flags: readable, executable
  segment.writeBigUInt64LE(BigInt(BASE), 16); // p_vaddr
  segment.writeBigUInt64LE(BigInt(BASE), 24); // p_paddr
  segment.writeBigUInt64LE(BigInt(size), 32); // p_filesz
  segment.writeBigUInt64LE(BigInt(size), 40); // p_memsz
  segment.writeBigUInt64LE(4096n, 48); // p_align
  return Buffer.concat([header, segment, code, message]);
}

function sayingCode(messageBytes: number): Buffer {
  const rest = [
    ...[0xba, ...uint32(messageBytes)], // mov edx, length
    ...[0x0f, 0x05], // syscall
    ...[0xb8, ...uint32(SYSCALL.pause)], // mov eax, pause
    ...[0x0f, 0x05], // syscall
    ...[0xeb, 0xf7], // jmp to the mov before
  ];
  return Buffer.from([
    ...[0xb8, ...uint32(SYSCALL.write)], // mov eax, write
    ...[0xbf, ...uint32(1)], // mov edi, standard output
    ...[0x48, 0x8d, 0x35, ...uint32(rest.length)], // lea rsi, [rip + what comes after the code]
    ...rest,
  ]);
}

function uint32(value: number): number[] {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return [...bytes];
}
