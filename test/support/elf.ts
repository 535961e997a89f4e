/** An ELF program of a machine, with a dynamic linker or without: as much of one as elf(5) wants, 256 bytes. */
export function elf({ machine = 62, linker = '' } = {}): Buffer {
  const content = Buffer.alloc(256);
  content.write('\x7fELF\x02\x01\x01', 'latin1');
  content.writeUInt16LE(2, 16);
  content.writeUInt16LE(machine, 18);
  content.writeBigUInt64LE(64n, 0x20);
  content.writeUInt16LE(56, 0x36);
  content.writeUInt16LE(1, 0x38);
  content.writeUInt32LE(linker === '' ? 1 : 3, 64);
  content.writeBigUInt64LE(128n, 64 + 8);
  content.writeBigUInt64LE(BigInt(linker.length + 1), 64 + 32);
  content.write(linker, 128, 'latin1');
  return content;
}
