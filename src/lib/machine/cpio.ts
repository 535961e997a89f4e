// Linux, Documentation/driver-api/early-userspace/buffer-format.rst: the `newc` format, which kernels unpack.

/** Type bits of a mode (inode(7)). */
const TYPES = { file: 0o100000, directory: 0o040000, character: 0o020000, symlink: 0o120000 } as const;

const HEADER_BYTES = 110;
const ALIGNMENT = 4;
const END = 'TRAILER!!!';

/** Something in an archive, owned by root. */
export interface CpioEntry {
  /** Without a leading slash; directories come before what is in them. */
  path: string;
  type: keyof typeof TYPES;
  /** Permissions: 07777 at most. */
  mode: number;
  /** Of a file; of a symbolic link, where it leads. */
  content?: Buffer;
  /** Of a character device. */
  device?: { major: number; minor: number };
}

/** The archive, in pieces. Times are 0 and inode numbers count up: the same entries give the same bytes. */
export function cpioOf(entries: readonly CpioEntry[]): Buffer[] {
  const end: CpioEntry = { path: END, type: 'file', mode: 0 };
  return [...entries, end].flatMap((entry, index) => pieces(entry, entry === end ? 0 : index + 1));
}

function pieces({ path, type, mode, content, device }: CpioEntry, inode: number): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const size = content?.length ?? 0;
  const fields = [
    inode,
    path === END ? 0 : TYPES[type] | mode,
    ...[0, 0], // owner and group
    1, // links
    0, // modification time
    size,
    ...[0, 0], // the device that it is on
    ...[device?.major ?? 0, device?.minor ?? 0],
    name.length,
    0, // checksum, which this format has not
  ];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return [
    Buffer.concat([header, name, padding(HEADER_BYTES + name.length)]),
    ...(content === undefined ? [] : [content, padding(size)]),
  ];
}

function padding(length: number): Buffer {
  return Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}
