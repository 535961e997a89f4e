/** What a tar archive says of one file. Names and links are any bytes: no library for Node.js takes other than text. */
export interface TarEntry {
  type: 'file' | 'directory' | 'symlink' | 'link';
  /** Relative, without a slash at its end. */
  name: Buffer;
  /** Permission bits, with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes; 0 of what is no file. */
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  /** What a symbolic link says, or the name of the entry that a hard link is another name of; else null. */
  target: Buffer | null;
}

/** Sizes, numbers and offsets of a header in bytes (tar(5), "Pre-POSIX", "GNU"). */
const BLOCK = 512;
const NAME_BYTES = 100;
const CHECKSUM_AT = 148;
const TYPES = { file: '0', link: '1', symlink: '2', directory: '5' } as const;

/** Two empty blocks. */
export const TAR_END = Buffer.alloc(2 * BLOCK);

/** Everything that stands before the content of an entry. Names of any length and any numbers, as GNU tar writes them. */
export function tarHeader(entry: TarEntry): Buffer {
  const { name, target } = entry;
  return Buffer.concat([
    ...(name.length > NAME_BYTES ? longName('L', name) : []),
    ...(target !== null && target.length > NAME_BYTES ? longName('K', target) : []),
    block(entry, TYPES[entry.type]),
  ]);
}

/** How many zeros follow a content of `size` bytes. */
export function tarPadding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/** A name that has no room in a header is the content of an entry before it. */
function longName(type: 'L' | 'K', name: Buffer): Buffer[] {
  const size = name.length + 1;
  const entry = { name: Buffer.from('././@LongLink'), mode: 0, uid: 0, gid: 0, size, mtime: 0, target: null };
  return [block(entry, type), name, Buffer.alloc(1 + tarPadding(size))];
}

function block(entry: Omit<TarEntry, 'type'>, type: string): Buffer {
  const header = Buffer.alloc(BLOCK);
  entry.name.copy(header, 0, 0, NAME_BYTES);
  putNumber(header, 100, 8, entry.mode);
  putNumber(header, 108, 8, entry.uid);
  putNumber(header, 116, 8, entry.gid);
  putNumber(header, 124, 12, entry.size);
  putNumber(header, 136, 12, Math.max(0, Math.floor(entry.mtime)));
  header.write(type, 156, 'latin1');
  entry.target?.copy(header, 157, 0, NAME_BYTES);
  header.write('ustar  \0', 257, 'latin1');
  // Summed up with its own field full of spaces.
  header.write(' '.repeat(8), CHECKSUM_AT, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, CHECKSUM_AT, 'latin1');
  return header;
}

/** In octal with a NUL behind it, or, where that is too short, in base 256 with the highest bit set. */
function putNumber(header: Buffer, at: number, length: number, value: number): void {
  const octal = value.toString(8);
  if (octal.length < length) {
    header.write(octal.padStart(length - 1, '0'), at, 'latin1');
    return;
  }
  let rest = BigInt(value);
  for (let index = at + length - 1; index >= at; index -= 1) {
    header.writeUInt8(Number(rest & 0xffn), index);
    rest >>= 8n;
  }
  header.writeUInt8(header.readUInt8(at) | 0x80, at);
}
