import { BangerError } from '../errors.ts';
import { EXTENTS_FLAG, INLINE_DATA_FLAG, type InodeTable, type TableInode } from './inode-table.ts';

// Directories and small files of an unmounted (or quiet) ext4 image. Linux, Documentation/filesystems/ext4/{directory,ifork}.rst.

export interface DirectoryEntry {
  inode: number;
  /** Any bytes but NUL and `/`. */
  name: Buffer;
}

export const ROOT_INODE = 2;
const EXTENT_MAGIC = 0xf30a;
const MAX_EXTENT_DEPTH = 5;
const DIRECT_BLOCKS = 12;
/** Deeper than any path that the kernel would take (PATH_MAX). */
const MAX_DEPTH = 4096;

function damaged(table: InodeTable, inode: TableInode, what: string): BangerError {
  return new BangerError('corrupt', `${table.path}: inode ${inode.number} ${what}`);
}

function* extentBlocks(
  table: InodeTable,
  inode: TableInode,
  node: Buffer,
  depthLeft: number,
): Generator<number> {
  if (node.readUInt16LE(0) !== EXTENT_MAGIC || depthLeft < 0) {
    throw damaged(table, inode, 'has a broken extent tree');
  }
  const depth = node.readUInt16LE(6);
  for (let index = 0; index < node.readUInt16LE(2); index += 1) {
    const at = 12 + index * 12;
    if (at + 12 > node.length) throw damaged(table, inode, 'has a broken extent tree');
    if (depth > 0) {
      const child = node.readUInt16LE(at + 8) * 2 ** 32 + node.readUInt32LE(at + 4);
      yield* extentBlocks(table, inode, table.readBlock(child), depthLeft - 1);
    } else {
      const length = node.readUInt16LE(at + 4);
      const start = node.readUInt16LE(at + 6) * 2 ** 32 + node.readUInt32LE(at + 8);
      for (let block = 0; block < length; block += 1) yield start + block;
    }
  }
}

function* mappedBlocks(table: InodeTable, map: Buffer, level: number): Generator<number> {
  for (let at = 0; at + 4 <= map.length; at += 4) {
    const block = map.readUInt32LE(at);
    if (block === 0) continue;
    if (level === 0) yield block;
    else yield* mappedBlocks(table, table.readBlock(block), level - 1);
  }
}

function* blocksOf(table: InodeTable, inode: TableInode): Generator<number> {
  if ((inode.flags & INLINE_DATA_FLAG) !== 0)
    throw damaged(table, inode, 'is kept inline, which is not read');
  if ((inode.flags & EXTENTS_FLAG) !== 0) {
    yield* extentBlocks(table, inode, inode.blocks, MAX_EXTENT_DEPTH);
    return;
  }
  yield* mappedBlocks(table, inode.blocks.subarray(0, DIRECT_BLOCKS * 4), 0);
  for (const level of [1, 2, 3]) {
    const at = (DIRECT_BLOCKS + level - 1) * 4;
    yield* mappedBlocks(table, inode.blocks.subarray(at, at + 4), level);
  }
}

/** A directory's entries, `.` and `..` included. Index blocks of a hashed directory look empty, as to an old kernel. */
export function* directoryEntries(table: InodeTable, inode: TableInode): Generator<DirectoryEntry> {
  for (const number of blocksOf(table, inode)) {
    const block = table.readBlock(number);
    for (let at = 0; at + 8 <= block.length; ) {
      const length = block.readUInt16LE(at + 4);
      const nameLength = block.readUInt8(at + 6);
      if (length < 8 || at + length > block.length || 8 + nameLength > length) {
        throw damaged(table, inode, 'has a broken entry');
      }
      const target = block.readUInt32LE(at);
      if (target !== 0)
        yield { inode: target, name: Buffer.from(block.subarray(at + 8, at + 8 + nameLength)) };
      at += length;
    }
  }
}

/** Up to `maxBytes` of a regular file without holes, or null when nothing of that name is one. */
export function readFileAt(table: InodeTable, path: readonly string[], maxBytes: number): Buffer | null {
  let inode = table.inode(ROOT_INODE);
  for (const part of path) {
    if (inode.type !== 'directory') return null;
    const entry = [...directoryEntries(table, inode)].find(({ name }) => name.equals(Buffer.from(part)));
    if (entry === undefined) return null;
    inode = table.inode(entry.inode);
  }
  if (inode.type !== 'regular') return null;
  const blocks: Buffer[] = [];
  for (const block of blocksOf(table, inode)) {
    if (blocks.length * table.blockSize >= maxBytes) break;
    blocks.push(table.readBlock(block));
  }
  return Buffer.concat(blocks).subarray(0, Math.min(inode.size, maxBytes));
}

function find(entries: Iterable<DirectoryEntry>, fits: (entry: DirectoryEntry) => boolean): DirectoryEntry {
  for (const entry of entries) if (fits(entry)) return entry;
  throw new BangerError('corrupt', 'a directory is not in its parent');
}

/** The one path of a directory, in bytes, without its leading slash: empty for the root. */
export function directoryPath(table: InodeTable, number: number): Buffer {
  const parts: Buffer[] = [];
  for (let current = number; current !== ROOT_INODE; ) {
    if (parts.length > MAX_DEPTH) throw new BangerError('corrupt', `${table.path}: directories form a ring`);
    const parent = find(directoryEntries(table, table.inode(current)), ({ name }) =>
      name.equals(DOT_DOT),
    ).inode;
    const own = current;
    const entry = find(
      directoryEntries(table, table.inode(parent)),
      ({ inode, name }) => inode === own && !name.equals(DOT) && !name.equals(DOT_DOT),
    );
    parts.unshift(entry.name);
    current = parent;
  }
  return Buffer.concat(parts.flatMap((part, index) => (index === 0 ? [part] : [SLASH, part])));
}

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');
const SLASH = Buffer.from('/');
