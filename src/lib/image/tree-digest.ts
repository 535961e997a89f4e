import { createHash, type Hash } from 'node:crypto';
import { attributesOf } from '../ext4/attributes.ts';
import { piecesOf } from '../ext4/content.ts';
import { deviceOf, type Inode } from '../ext4/inode.ts';
import { linkTarget } from '../ext4/link-target.ts';
import type { Volume } from '../ext4/volume.ts';
import { walkVolume } from '../ext4/walk.ts';
import { bytesOfName } from '../system/file-name.ts';
import { Turn } from '../turn.ts';

/** Begins each digest, and changes with what it is made of. */
const FORMAT = 'banger tree 1';
/** Where e2fsck puts what it finds, made with each filesystem. */
const LOST_AND_FOUND = 'lost+found';

export interface TreeDigestOptions {
  /** Seconds since 1970 that no file is newer than; null: times do not count. */
  newest: number | null;
  signal?: AbortSignal | undefined;
}

/**
 * One SHA-256, in hex, of all that a user of an image's files can tell: in their order each one's path, type, mode, owner,
 * extended attributes, what a link says, a device's numbers, content, and which names are of one file. Not of how they lie
 * on the disk: a hole is its zeros. Of times only whole seconds of the last change of content, and none is later than
 * `newest`.
 * @throws BangerError `corrupt`; `preflight_failed`; the signal's reason
 */
export async function digestTree(volume: Volume, { newest, signal }: TreeDigestOptions): Promise<string> {
  const hash = createHash('sha256').update(`${FORMAT}\0${newest ?? ''}\0`);
  const turn = new Turn(signal);
  const firstNames = new Map<number, string>();
  for await (const { path, inode } of walkVolume(volume, { signal, enters: isNotLost })) {
    if (path === LOST_AND_FOUND) continue;
    updateText(hash, path);
    const first = firstNames.get(inode.number);
    if (first !== undefined) {
      hash.update('same\0');
      updateText(hash, first);
      continue;
    }
    if (inode.links > 1 && inode.type !== 'directory') firstNames.set(inode.number, path);
    hash.update(`${inode.type}\0${inode.mode.toString(8)}\0${inode.uid}\0${inode.gid}\0`);
    if (newest !== null) hash.update(`${Math.min(Math.floor(inode.modified / 1000), newest)}\0`);
    updateAttributes(hash, volume, inode);
    for (const part of contentParts(volume, inode)) {
      hash.update(part);
      if (turn.isOver) await turn.rest();
    }
  }
  return hash.digest('hex');
}

function isNotLost({ path }: { path: string }): boolean {
  return path !== LOST_AND_FOUND;
}

/** With its length: no two lists of texts are the same bytes. */
function updateText(hash: Hash, text: string): void {
  const bytes = bytesOfName(text);
  hash.update(`${bytes.length}\0`).update(bytes);
}

function updateAttributes(hash: Hash, volume: Volume, inode: Inode): void {
  const attributes = attributesOf(volume, inode);
  hash.update(`${attributes.size}\0`);
  for (const [name, value] of attributes) {
    updateText(hash, name);
    hash.update(`${value.length}\0`).update(value);
  }
}

/** What is behind a name, by its type. */
function* contentParts(volume: Volume, inode: Inode): Generator<string | Buffer> {
  if (inode.type === 'symlink') {
    const target = bytesOfName(linkTarget(volume, inode));
    yield `${target.length}\0`;
    yield target;
  } else if (inode.type === 'char' || inode.type === 'block') {
    const { major, minor } = deviceOf(inode);
    yield `${major}:${minor}\0`;
  } else if (inode.type === 'file') {
    yield `${inode.size}\0`;
    for (const { position, bytes } of piecesOf(volume, inode)) {
      yield `${position}\0`;
      yield bytes;
    }
    // The end: no position.
    yield '\0';
  }
}
