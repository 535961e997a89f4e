import type { BangerError } from '../errors.ts';
import { bytesOfName, textOfName } from '../system/file-name.ts';
import { readStart } from './block-content.ts';
import { type Inode, VALUE_FLAG } from './inode.ts';
import type { Volume } from './volume.ts';

// Extended attributes. Linux, Documentation/filesystems/ext4/attributes.rst; the prefixes: fs/ext4/xattr.h.

const MAGIC = 0xea020000;
const BLOCK_HEADER_BYTES = 32;
const ENTRY_BYTES = 16;
/** More than a value can have (limits.h, XATTR_SIZE_MAX), in bytes. */
const MAX_VALUE_BYTES = 65536;
const SYSTEM = 7;
const PREFIXES: ReadonlyMap<number, string> = new Map([
  [0, ''],
  [1, 'user.'],
  [2, 'system.posix_acl_access'],
  [3, 'system.posix_acl_default'],
  [4, 'trusted.'],
  [6, 'security.'],
  [SYSTEM, 'system.'],
  [8, 'system.richacl'],
  [9, 'encryption.'],
  [10, 'gnu.'],
]);

/**
 * How an attribute's name is stored: the number of its prefix, and the bytes of the rest.
 * @throws Error for a name that no attribute has
 */
export function storedName(name: string): { prefix: number; name: Buffer } {
  let best: { prefix: number; length: number } | undefined;
  for (const [prefix, text] of PREFIXES) {
    const isWhole = text === '' || text.endsWith('.') ? name.startsWith(text) : name === text;
    if (isWhole && text.length >= (best?.length ?? 0)) best = { prefix, length: text.length };
  }
  if (best === undefined) throw new Error(`no attribute is named ${JSON.stringify(name)}`);
  return { prefix: best.prefix, name: bytesOfName(name.slice(best.length)) };
}

/** An attribute where it is described, its value not looked at yet. */
interface AttributeEntry {
  name: string;
  valueInode: number;
  valueSize: number;
  /** From where values are counted, and how far. */
  values: Buffer;
  valueAt: number;
}

/** What holds a small file's content beyond i_block; no attribute to anybody. */
export const INLINE_DATA = 'system.data';

/**
 * A file's extended attributes by their full names, in the order of those; values as they are stored: an ACL in ext4's own
 * short form (fs/ext4/acl.h).
 * @throws BangerError `corrupt`
 */
export function attributesOf(volume: Volume, inode: Inode): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const entry of entriesOf(volume, inode)) {
    if (entry.name === INLINE_DATA) continue;
    if (found.has(entry.name)) throw volume.damaged(inode, 'has an extended attribute twice');
    found.set(entry.name, readValue(volume, inode, entry));
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Of one attribute in the inode itself; null when it is not there. */
export function ownAttribute(volume: Volume, inode: Inode, name: string): Buffer | null {
  for (const entry of ownEntries(volume, inode)) {
    if (entry.name === name) return readValue(volume, inode, entry);
  }
  return null;
}

function* entriesOf(volume: Volume, inode: Inode): Generator<AttributeEntry> {
  yield* ownEntries(volume, inode);
  if (inode.attributeBlock === 0) return;
  const block = readAttributeBlock(volume, inode);
  if (block.readUInt32LE(0) !== MAGIC) throw broken(volume, inode);
  yield* parseEntries(volume, inode, { entries: block.subarray(BLOCK_HEADER_BYTES), values: block });
}

function readAttributeBlock(volume: Volume, inode: Inode): Buffer {
  const { blockCount } = volume.geometry;
  if (inode.attributeBlock >= blockCount) {
    throw volume.damaged(
      inode,
      `has its extended attributes in block ${inode.attributeBlock} of ${blockCount}`,
    );
  }
  return volume.readBlocks(inode.attributeBlock, 1);
}

function* ownEntries(volume: Volume, inode: Inode): Generator<AttributeEntry> {
  const { tail } = inode;
  if (tail.length < 4 || tail.readUInt32LE(0) !== MAGIC) return;
  const area = tail.subarray(4);
  yield* parseEntries(volume, inode, { entries: area, values: area });
}

function* parseEntries(
  volume: Volume,
  inode: Inode,
  { entries, values }: { entries: Buffer; values: Buffer },
): Generator<AttributeEntry> {
  // Four bytes of nothing end them, but where the area ends first.
  for (let at = 0; at + 4 <= entries.length && entries.readUInt32LE(at) !== 0; ) {
    const nameLength = entries.readUInt8(at);
    const nameEnd = at + ENTRY_BYTES + nameLength;
    const prefix = PREFIXES.get(entries.readUInt8(at + 1));
    if (nameEnd > entries.length || prefix === undefined) throw broken(volume, inode);
    yield {
      name: prefix + textOfName(entries.subarray(at + ENTRY_BYTES, nameEnd)),
      valueAt: entries.readUInt16LE(at + 2),
      valueInode: entries.readUInt32LE(at + 4),
      valueSize: entries.readUInt32LE(at + 8),
      values,
    };
    at = Math.ceil(nameEnd / 4) * 4;
  }
}

function readValue(volume: Volume, inode: Inode, entry: AttributeEntry): Buffer {
  const { valueInode, valueSize, valueAt, values } = entry;
  if (valueSize > MAX_VALUE_BYTES) throw broken(volume, inode);
  if (valueInode === 0) {
    if (valueAt + valueSize > values.length) throw broken(volume, inode);
    return Buffer.from(values.subarray(valueAt, valueAt + valueSize));
  }
  // ea_inode: a file of its own holds the value.
  const holder = volume.inode(valueInode);
  if ((holder.flags & VALUE_FLAG) === 0 || holder.type !== 'file' || holder.size !== valueSize) {
    throw broken(volume, inode);
  }
  return readStart(volume, holder, valueSize);
}

function broken(volume: Volume, inode: Inode): BangerError {
  return volume.damaged(inode, 'has broken extended attributes');
}
