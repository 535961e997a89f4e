import { createHash } from 'node:crypto';
import { BangerError } from '../errors.ts';
import { attributesOf } from '../ext4/attributes.ts';
import { childInode, childNames, rootOf } from '../ext4/children.ts';
import { piecesOf } from '../ext4/content.ts';
import type { Inode, Timestamp } from '../ext4/inode.ts';
import { linkTarget } from '../ext4/link-target.ts';
import { type Volume, withVolume } from '../ext4/volume.ts';
import { confirmExt4, indexDirectories, makeExt4 } from '../system/ext4.ts';
import { bytesOfName } from '../system/file-name.ts';
import { openRegular } from '../system/regular-file.ts';
import { SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET } from '../system/superblock.ts';
import { oneLine } from '../text.ts';
import { Turn } from '../turn.ts';
import { encodeAttributes, finishAttributeBlock } from './attribute-bytes.ts';
import { type DirectoryEntry, emptyDirectoryBlock, encodeDirectory } from './directory-bytes.ts';
import { addExtent, type Extent, MAX_EXTENT_BLOCKS, writeExtentTree } from './extent-tree.ts';
import { INODE_BYTES, inodeSeed, type NewInode, TAIL_AT } from './inode-bytes.ts';
import { LOST_AND_FOUND, NewFilesystem, ROOT } from './new-filesystem.ts';
import { redateImage } from './superblock-bytes.ts';

export interface RepackOptions {
  /** Of the new file, in bytes. */
  sizeBytes: number;
  /** How many files and directories it can hold, at least. */
  inodes: number;
  uuid: string;
  /** What the names of directories are hashed with: as a UUID. */
  hashSeed: string;
  /** Seconds since 1970 that no time is later than; not in the future, which e2fsck does not believe. */
  epoch: number;
  signal: AbortSignal;
  /** A directory alone, which becomes the root of a filesystem of that name; all there is, and its name, when absent. */
  only?: { directory: Inode; label: string };
}

const LOST_AND_FOUND_NAME = 'lost+found';
/** How large mke2fs makes it, in bytes: e2fsck must not want room when there is none. */
const LOST_AND_FOUND_BYTES = 16384;
/** The largest that makeExt4's features are read with everywhere. */
const LARGEST_BLOCK = 4096;
/** Beyond it a directory has 1, which says that nobody counts (dir_nlink). */
const MOST_LINKS = 65000;
/** An attribute block is shared by no more inodes (fs/ext4/xattr.h, EXT4_XATTR_REFCOUNT_MAX). */
const MOST_SHARED = 1024;
/** What fits into i_block with its NUL. */
const FAST_LINK_BYTES = 60;

const EXTENTS = 0x80000;
/**
 * What chattr(1) sets and nothing else depends on: A, a, c, D, d, i, j, S, s, T, t, u (FS_IOC_SETFLAGS, inodes.rst). That a
 * directory is indexed, or a file has extents, is said anew.
 */
const KEPT_FLAGS = 0x3_c0ff;
/** Content that is not what it seems, or names that are compared otherwise: casefold, verity, encrypt. */
const REFUSED_FLAGS = 0x4010_0800;

/**
 * Writes all files of a filesystem into a new one, made by mke2fs, in the order of their names: two filesystems with the
 * same files become the same file, byte for byte. Zeros become holes; a file has one time, that of its last change of
 * content; what was deleted is gone.
 * @param target must not exist
 * @throws BangerError `corrupt`; `preflight_failed` for what is not read; `tool_failed` when it does not fit
 */
export async function repackExt4(source: string, target: string, options: RepackOptions): Promise<void> {
  const { sizeBytes, inodes, uuid, hashSeed, epoch, signal, only } = options;
  await withVolume(source, async (volume) => {
    const blockSize = Math.min(volume.geometry.blockSize, LARGEST_BLOCK);
    const label = only?.label ?? '';
    await makeExt4(target, { sizeBytes, inodes, blockSize, uuid, hashSeed, label, signal });
    const filesystem = await NewFilesystem.open(target);
    try {
      await new Repacking(volume, filesystem, options).carryOut();
      filesystem.finish(readSuperblockBytes(only === undefined ? source : target), epoch);
    } finally {
      filesystem.close();
    }
    await indexDirectories(target, { signal });
    redateImage(target, epoch);
    await confirmExt4(target, 'e2fsck', { signal });
  });
}

function readSuperblockBytes(path: string): Buffer {
  const file = openRegular(path);
  try {
    return file.readAt(SUPERBLOCK_OFFSET, SUPERBLOCK_BYTES);
  } finally {
    file.close();
  }
}

/** A directory that is written, and what is in it and is not. */
interface Level {
  number: number;
  children: readonly { number: number; inode: Inode; isFirst: boolean }[];
  next: number;
}

/** What an inode has on the disk. */
interface Laid {
  map: Buffer;
  blocks: number;
}

class Repacking {
  readonly #volume: Volume;
  readonly #to: NewFilesystem;
  readonly #epoch: number;
  readonly #turn: Turn;
  /** Of files with several names, their numbers there by those here. */
  readonly #linked = new Map<number, number>();
  readonly #top: Inode;
  /** How many names files with several have, where some may be elsewhere. */
  readonly #names: ReadonlyMap<number, number> | null;
  /** Blocks of attributes, by what is in them. */
  readonly #shared = new Map<string, { number: number; count: number }>();

  constructor(volume: Volume, to: NewFilesystem, { epoch, signal, only }: RepackOptions) {
    this.#volume = volume;
    this.#to = to;
    this.#epoch = epoch;
    this.#top = only?.directory ?? rootOf(volume);
    this.#names = only === undefined ? null : namesOfLinked(volume, only.directory);
    this.#turn = new Turn(signal);
  }

  async carryOut(): Promise<void> {
    const levels = [this.#openDirectory(this.#top, ROOT, ROOT)];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const child = level.children[level.next];
      level.next += 1;
      if (child === undefined) levels.pop();
      else if (child.inode.type === 'directory')
        levels.push(this.#openDirectory(child.inode, child.number, level.number));
      else if (child.isFirst) await this.#writeFile(child.inode, child.number);
      if (this.#turn.isOver) await this.#turn.rest();
    }
  }

  /** Numbers what is in a directory, and writes the directory itself. */
  #openDirectory(inode: Inode, number: number, parent: number): Level {
    const entries: DirectoryEntry[] = [
      { name: Buffer.from('.'), number, type: 'directory' },
      { name: Buffer.from('..'), number: parent, type: 'directory' },
    ];
    const children: { number: number; inode: Inode; isFirst: boolean }[] = [];
    for (const name of this.#namesIn(inode, number)) {
      const child =
        name.number === 0 ? this.#lostAndFound(inode) : childInode(this.#volume, inode, name.number);
      const isLost = number === ROOT && name.name === LOST_AND_FOUND_NAME;
      if (isLost && child.type !== 'directory') {
        throw this.#refuse(child, `is called /${LOST_AND_FOUND_NAME} and is no directory`);
      }
      const { to, isFirst } = isLost ? { to: LOST_AND_FOUND, isFirst: true } : this.#numberOf(child);
      children.push({ number: to, inode: child, isFirst });
      entries.push({ name: Buffer.from(name.name, 'latin1'), number: to, type: typeOf(child) });
    }
    const subdirectories = children.filter((child) => child.inode.type === 'directory').length;
    const seed = inodeSeed(number, this.#to.seed);
    const blocks = encodeDirectory(entries, { blockSize: this.#to.blockSize, seed });
    const least = number === LOST_AND_FOUND ? LOST_AND_FOUND_BYTES / this.#to.blockSize : 1;
    while (blocks.length < least) blocks.push(emptyDirectoryBlock({ blockSize: this.#to.blockSize, seed }));
    const extents: Extent[] = [];
    this.#lay(extents, 0, Buffer.concat(blocks));
    const links = 2 + subdirectories > MOST_LINKS ? 1 : 2 + subdirectories;
    const size = blocks.length * this.#to.blockSize;
    this.#writeInode(inode, number, { extents, links, size });
    return { number, children, next: 0 };
  }

  /** With a place for what e2fsck finds, its number 0 where there is none. */
  #namesIn(directory: Inode, number: number): readonly { name: string; number: number }[] {
    const names = childNames(this.#volume, directory);
    if (number !== ROOT || names.some(({ name }) => name === LOST_AND_FOUND_NAME)) return names;
    return [...names, { name: LOST_AND_FOUND_NAME, number: 0 }].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** As mke2fs makes it. */
  #lostAndFound(root: Inode): Inode {
    const nothing = { size: 0, flags: 0, attributeBlock: 0, tail: Buffer.alloc(0), blocks: Buffer.alloc(60) };
    const modifiedAt = { seconds: this.#epoch, nanoseconds: 0 };
    return { ...root, ...nothing, mode: 0o700, uid: 0, gid: 0, modifiedAt };
  }

  #numberOf(inode: Inode): { to: number; isFirst: boolean } {
    const known = this.#linked.get(inode.number);
    if (known !== undefined) return { to: known, isFirst: false };
    const to = this.#to.takeInode();
    if (inode.links > 1 && inode.type !== 'directory') this.#linked.set(inode.number, to);
    return { to, isFirst: true };
  }

  async #writeFile(inode: Inode, number: number): Promise<void> {
    const extents: Extent[] = [];
    const { size } = inode;
    const links = this.#names?.get(inode.number) ?? inode.links;
    if (inode.type === 'symlink') {
      const target = bytesOfName(linkTarget(this.#volume, inode));
      if (target.length < FAST_LINK_BYTES) {
        this.#writeInode(inode, number, { own: target, links, size });
        return;
      }
      this.#lay(extents, 0, this.#padded(target));
    } else if (inode.type === 'file') {
      for (const { position, bytes } of piecesOf(this.#volume, inode)) {
        this.#layPiece(extents, position, bytes);
        if (this.#turn.isOver) await this.#turn.rest();
      }
    } else {
      // A device has its numbers there.
      this.#writeInode(inode, number, { own: ownPart(inode), links, size: 0 });
      return;
    }
    this.#writeInode(inode, number, { extents, links, size });
  }

  /** Lays down what of a piece is not zeros. */
  #layPiece(extents: Extent[], position: number, bytes: Buffer): void {
    const { blockSize } = this.#to;
    const zeros = Buffer.alloc(blockSize);
    const padded = this.#padded(bytes);
    const isZero = (at: number): boolean => padded.subarray(at, at + blockSize).equals(zeros);
    for (let at = 0; at < padded.length; ) {
      if (isZero(at)) {
        at += blockSize;
        continue;
      }
      let end = at + blockSize;
      while (end < padded.length && !isZero(end)) end += blockSize;
      this.#lay(extents, (position + at) / blockSize, padded.subarray(at, end));
      at = end;
    }
  }

  /** Writes whole blocks wherever there is room. */
  #lay(extents: Extent[], logical: number, bytes: Buffer): void {
    const { blockSize } = this.#to;
    const total = bytes.length / blockSize;
    for (let done = 0; done < total; ) {
      const { first, count } = this.#to.takeBlocks(Math.min(total - done, MAX_EXTENT_BLOCKS));
      this.#to.writeBlocks(first, bytes.subarray(done * blockSize, (done + count) * blockSize));
      addExtent(extents, { logical: logical + done, physical: first, count });
      done += count;
    }
  }

  #padded(bytes: Buffer): Buffer {
    const { blockSize } = this.#to;
    const missing = (blockSize - (bytes.length % blockSize)) % blockSize;
    return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
  }

  #writeInode(
    inode: Inode,
    number: number,
    rest: { links: number; size: number } & ({ extents: readonly Extent[] } | { own: Buffer }),
  ): void {
    if ((inode.flags & REFUSED_FLAGS) !== 0) {
      throw this.#refuse(inode, 'is encrypted, verified or of a directory that folds case');
    }
    const { map, blocks } = this.#mapOf(number, rest);
    const { tail, attributeBlock } = this.#layAttributes(inode);
    const { mode, uid, gid } = inode;
    this.#to.writeInode({
      ...{ number, type: typeOf(inode), mode, uid, gid, map, tail, attributeBlock },
      ...{ links: rest.links, size: rest.size },
      flags: (inode.flags & KEPT_FLAGS) | ('extents' in rest ? EXTENTS : 0),
      time: this.#timeOf(inode),
      allocated: (blocks + (attributeBlock === 0 ? 0 : 1)) * this.#to.blockSize,
    } satisfies NewInode);
  }

  #mapOf(number: number, rest: { extents: readonly Extent[] } | { own: Buffer }): Laid {
    if ('own' in rest) return { map: rest.own, blocks: 0 };
    const { map, blocks } = writeExtentTree(rest.extents, {
      blockSize: this.#to.blockSize,
      seed: inodeSeed(number, this.#to.seed),
      takeBlock: () => this.#to.takeBlocks(1).first,
      write: (block, bytes) => this.#to.writeBlocks(block, bytes),
    });
    return { map, blocks: rest.extents.reduce((sum, { count }) => sum + count, blocks) };
  }

  #timeOf({ modifiedAt }: Inode): Timestamp {
    return modifiedAt.seconds < this.#epoch ? modifiedAt : { seconds: this.#epoch, nanoseconds: 0 };
  }

  #layAttributes(inode: Inode): { tail: Buffer; attributeBlock: number } {
    const { blockSize, seed } = this.#to;
    const ground = { tailBytes: INODE_BYTES - TAIL_AT, blockSize };
    const encoded = encodeAttributes(attributesOf(this.#volume, inode), ground);
    if (encoded === null) throw this.#refuse(inode, 'has extended attributes too large for a block');
    const { tail, block } = encoded;
    if (block === null) return { tail, attributeBlock: 0 };
    const key = createHash('sha256').update(block).digest('base64');
    const known = this.#shared.get(key);
    const shared =
      known === undefined || known.count === MOST_SHARED
        ? { number: this.#to.takeBlocks(1).first, count: 0 }
        : known;
    shared.count += 1;
    this.#shared.set(key, shared);
    finishAttributeBlock(block, { ...shared, seed });
    this.#to.writeBlocks(shared.number, block);
    return { tail, attributeBlock: shared.number };
  }

  #refuse(inode: Inode, why: string): BangerError {
    return new BangerError(
      'tool_failed',
      `${oneLine(this.#volume.path)}: inode ${inode.number} ${why}: it is not repacked`,
    );
  }
}

/** How often each file with several names is named below a directory. */
function namesOfLinked(volume: Volume, top: Inode): Map<number, number> {
  const counts = new Map<number, number>();
  const todo = [top];
  for (let directory = todo.pop(); directory !== undefined; directory = todo.pop()) {
    for (const { number } of childNames(volume, directory)) {
      const child = childInode(volume, directory, number);
      if (child.type === 'directory') todo.push(child);
      else if (child.links > 1) counts.set(number, (counts.get(number) ?? 0) + 1);
    }
  }
  return counts;
}

function ownPart({ type, blocks }: Inode): Buffer {
  const isDevice = type === 'char' || type === 'block';
  // The old numbers, and the new ones (fs/ext4/inode.c, __ext4_iget).
  return isDevice ? blocks.subarray(0, 8) : Buffer.alloc(0);
}

function typeOf({ type }: Inode): DirectoryEntry['type'] {
  if (type === 'unknown') throw new Error('what is in no use is in no directory');
  return type;
}
