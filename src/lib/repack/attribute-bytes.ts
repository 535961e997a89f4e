import { storedName } from '../ext4/attributes.ts';
import { crc32c } from './checksum.ts';

// Extended attributes as they are written: Linux, Documentation/filesystems/ext4/attributes.rst; hashes: fs/ext4/xattr.c.

const MAGIC = 0xea020000;
const HEADER_BYTES = 32;
const ENTRY_BYTES = 16;
const END_BYTES = 4;

interface StoredAttribute {
  prefix: number;
  name: Buffer;
  value: Buffer;
}

export interface AttributeBytes {
  /** What follows the inode's fields; empty when it has none. */
  tail: Buffer;
  /** A block for the others, its number and its checksum still to come; null when all are in the inode. */
  block: Buffer | null;
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function bytesOf({ name, value }: StoredAttribute): number {
  return ENTRY_BYTES + padded(name.length) + padded(value.length);
}

/**
 * The largest that fit stand in the inode, the others in a block.
 * @param tailBytes how many the inode has for them
 * @returns null when they need more room than an inode and a block have
 */
export function encodeAttributes(
  attributes: ReadonlyMap<string, Buffer>,
  { tailBytes, blockSize }: { tailBytes: number; blockSize: number },
): AttributeBytes | null {
  const all = [...attributes].map(([name, value]): StoredAttribute => ({ ...storedName(name), value }));
  all.sort(compare);
  const own = new Set<StoredAttribute>();
  let left = tailBytes - 4 - END_BYTES;
  for (const one of [...all].sort((a, b) => bytesOf(b) - bytesOf(a))) {
    if (bytesOf(one) > left) continue;
    left -= bytesOf(one);
    own.add(one);
  }
  const others = all.filter((one) => !own.has(one));
  const needed = others.reduce((sum, one) => sum + bytesOf(one), HEADER_BYTES + END_BYTES);
  if (others.length > 0 && needed > blockSize) return null;
  return {
    tail: own.size === 0 ? Buffer.alloc(0) : tailOf([...own].sort(compare), tailBytes),
    block: others.length === 0 ? null : blockOf(others, blockSize),
  };
}

/** In the order that a search in a block counts on. */
function compare(one: StoredAttribute, other: StoredAttribute): number {
  return (
    one.prefix - other.prefix || one.name.length - other.name.length || Buffer.compare(one.name, other.name)
  );
}

function tailOf(attributes: readonly StoredAttribute[], tailBytes: number): Buffer {
  const tail = Buffer.alloc(tailBytes);
  tail.writeUInt32LE(MAGIC);
  // Values are counted from the first entry on; hashes are of blocks alone.
  const area = tail.subarray(4);
  encodeEntries(attributes, area, { entriesAt: 0, isHashed: false });
  return tail;
}

function blockOf(attributes: readonly StoredAttribute[], blockSize: number): Buffer {
  const block = Buffer.alloc(blockSize);
  block.writeUInt32LE(MAGIC);
  block.writeUInt32LE(1, 8);
  const hashes = encodeEntries(attributes, block, { entriesAt: HEADER_BYTES, isHashed: true });
  // One that cannot be told from others is never shared.
  const all = hashes.includes(0) ? 0 : hashes.reduce((sum, hash) => rotate(sum, 16) ^ hash, 0);
  block.writeUInt32LE(all >>> 0, 12);
  return block;
}

function encodeEntries(
  attributes: readonly StoredAttribute[],
  area: Buffer,
  { entriesAt, isHashed }: { entriesAt: number; isHashed: boolean },
): number[] {
  let at = entriesAt;
  let valueAt = area.length;
  return attributes.map((attribute) => {
    const { prefix, name, value } = attribute;
    valueAt -= padded(value.length);
    const hash = isHashed ? hashOf(attribute) : 0;
    area.writeUInt8(name.length, at);
    area.writeUInt8(prefix, at + 1);
    area.writeUInt16LE(value.length === 0 ? 0 : valueAt, at + 2);
    area.writeUInt32LE(value.length, at + 8);
    area.writeUInt32LE(hash, at + 12);
    name.copy(area, at + ENTRY_BYTES);
    value.copy(area, valueAt);
    at += ENTRY_BYTES + padded(name.length);
    return hash;
  });
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function hashOf({ name, value }: StoredAttribute): number {
  let hash = 0;
  // Bytes of names count as signed, which every kernel takes, as on x86 all did.
  for (let at = 0; at < name.length; at += 1) hash = rotate(hash, 5) ^ name.readInt8(at);
  const words = Buffer.alloc(padded(value.length));
  value.copy(words);
  for (let at = 0; at < words.length; at += 4) hash = rotate(hash, 16) ^ words.readInt32LE(at);
  return hash >>> 0;
}

/** @param count how many inodes have the block */
export function finishAttributeBlock(
  block: Buffer,
  { number, count, seed }: { number: number; count: number; seed: number },
): void {
  block.writeUInt32LE(count, 4);
  block.writeUInt32LE(0, 16);
  const place = Buffer.alloc(8);
  place.writeBigUInt64LE(BigInt(number));
  block.writeUInt32LE(crc32c(crc32c(seed, place), block), 16);
}
