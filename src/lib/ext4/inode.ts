// Inodes as they lie in an image. Linux, Documentation/filesystems/ext4/{inodes,ifork}.rst.

const TYPE_MASK = 0xf000;
const TYPES = {
  4096: 'fifo',
  8192: 'char',
  16384: 'directory',
  24576: 'block',
  32768: 'file',
  40960: 'symlink',
  49152: 'socket',
} as const;
/** What an inode had before there were larger ones, in bytes. */
const OLD_INODE_BYTES = 128;

export const EXTENTS_FLAG = 0x80000;
export const ENCRYPTED_FLAG = 0x800;
export const VALUE_FLAG = 0x200000;
export const INLINE_DATA_FLAG = 0x10000000;

export type FileType = (typeof TYPES)[keyof typeof TYPES];

/** An instant, without the loss of a fraction. */
export interface Timestamp {
  /** Since the epoch; before it, negative. */
  seconds: number;
  /** Added to them. */
  nanoseconds: number;
}

export interface Inode {
  number: number;
  /** `unknown` is none that there is. */
  type: FileType | 'unknown';
  /** 07777 at most. */
  mode: number;
  uid: number;
  gid: number;
  /** How many names it has; 0 when it was deleted. */
  links: number;
  /** Milliseconds since the epoch, with fractions; so are the others. */
  changed: number;
  modified: number;
  /** The same as `modified`, to the nanosecond. */
  modifiedAt: Timestamp;
  accessed: number;
  /** Null where inodes are too small to say (128 bytes). */
  created: number | null;
  flags: number;
  /** Bytes; of a directory, whole blocks. May be more than 2^53, and is then not exact. */
  size: number;
  /** i_block: 60 bytes that say where the content is. */
  blocks: Buffer;
  /** The block of its extended attributes, or 0. */
  attributeBlock: number;
  /** What follows the fields: extended attributes, if anything. */
  tail: Buffer;
}

/** Seconds are signed and have two more bits beside the nanoseconds (inodes.rst, Inode Timestamps). */
function readTimestamp(inode: Buffer, seconds: number, extra: number, hasExtra: boolean): Timestamp {
  const low = inode.readInt32LE(seconds);
  if (!hasExtra) return { seconds: low, nanoseconds: 0 };
  const more = inode.readUInt32LE(extra);
  return { seconds: low + (more & 3) * 2 ** 32, nanoseconds: more >>> 2 };
}

function readTime(inode: Buffer, at: number, extra: number, hasExtra: boolean): number {
  const { seconds, nanoseconds } = readTimestamp(inode, at, extra, hasExtra);
  return seconds * 1000 + nanoseconds / 1e6;
}

function typeOfMode(mode: number): FileType | 'unknown' {
  return TYPES[(mode & TYPE_MASK) as keyof typeof TYPES] ?? 'unknown';
}

/** What of a filesystem decides how its inodes are read. */
export interface InodeFormat {
  /** Block numbers have high halves. */
  isWide: boolean;
  /** Sizes of directories have a high half; else these bits were another field once (inodes.rst, i_size_high). */
  hasLargeDirectories: boolean;
}

/** @param inode its bytes in the table, kept and not copied */
export function parseInode(number: number, inode: Buffer, format: InodeFormat): Inode {
  const mode = inode.readUInt16LE(0);
  const type = typeOfMode(mode);
  const isSizeWide = type === 'file' || format.hasLargeDirectories;
  const extraSize = inode.length > OLD_INODE_BYTES ? inode.readUInt16LE(0x80) : 0;
  const fieldsEnd = OLD_INODE_BYTES + extraSize;
  return {
    number,
    type,
    mode: mode & 0o7777,
    uid: inode.readUInt16LE(2) + inode.readUInt16LE(0x78) * 65536,
    gid: inode.readUInt16LE(0x18) + inode.readUInt16LE(0x7a) * 65536,
    links: inode.readUInt16LE(0x1a),
    changed: readTime(inode, 0xc, 0x84, fieldsEnd >= 0x88),
    modified: readTime(inode, 0x10, 0x88, fieldsEnd >= 0x8c),
    modifiedAt: readTimestamp(inode, 0x10, 0x88, fieldsEnd >= 0x8c),
    accessed: readTime(inode, 0x8, 0x8c, fieldsEnd >= 0x90),
    created: fieldsEnd >= 0x98 ? readTime(inode, 0x90, 0x94, true) : null,
    flags: inode.readUInt32LE(0x20),
    size: inode.readUInt32LE(0x4) + (isSizeWide ? inode.readUInt32LE(0x6c) * 2 ** 32 : 0),
    blocks: inode.subarray(0x28, 0x64),
    attributeBlock: inode.readUInt32LE(0x68) + (format.isWide ? inode.readUInt16LE(0x76) * 2 ** 32 : 0),
    tail: inode.subarray(Math.min(fieldsEnd, inode.length)),
  };
}

export interface DeviceNumber {
  major: number;
  minor: number;
}

/** What a char or block inode stands for: in the old encoding, or else in the new one (fs/ext4/inode.c, __ext4_iget). */
export function deviceOf({ blocks }: Inode): DeviceNumber {
  const old = blocks.readUInt32LE(0);
  if (old !== 0) return { major: (old >>> 8) & 0xff, minor: old & 0xff };
  const device = blocks.readUInt32LE(4);
  return { major: (device & 0xfff00) >>> 8, minor: (device & 0xff) | ((device >>> 12) & 0xfff00) };
}
