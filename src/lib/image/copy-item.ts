import { closeSync, constants, fstatSync, lstatSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
import type { ContextEntry } from '../context/entry.ts';
import { changedWhileRead, readError } from '../context/reading.ts';
import type { InlineFile } from '../recipe/recipe.ts';
import { identityOf } from '../system/file-identity.ts';
import { fsPath } from '../system/file-name.ts';

const readAsync = promisify(read);

/** How much of a file is read at a time, in bytes. */
const CHUNK_BYTES = 256 * 1024;

/** One thing that a COPY or ADD brings into an image, wherever it is from. */
export interface CopyItem {
  type: 'file' | 'directory' | 'symlink' | 'link';
  /** Below the target, as `file-name.ts` has names; empty for a directory that is a source itself. */
  path: string;
  /** Whether it is a source itself, and not in one. */
  isSource: boolean;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes; of a file. */
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  /** What a symbolic link says; of a hard link, the path of the item that it is another name of. */
  target: string | null;
  /** Extended attributes by their names, values as setxattr(2) takes them. A hard link need not have them once more. */
  attributes(): ReadonlyMap<string, Buffer>;
  /** Exactly `size` bytes. */
  content(): AsyncIterable<Buffer>;
}

const NONE: ReadonlyMap<string, Buffer> = new Map();

/** Of nearly everything. */
export function noAttributes(): ReadonlyMap<string, Buffer> {
  return NONE;
}

async function* nothing(): AsyncGenerator<Buffer> {}

/** What is in a build context is root's in an image, and without extended attributes (Dockerfile reference, COPY --chown). */
export function itemOfEntry(entry: ContextEntry): CopyItem {
  const { type, path, isSource, mode, size, target } = entry;
  return {
    ...{ type, path, isSource, mode, size, target, uid: 0, gid: 0 },
    mtime: mtimeOf(entry),
    attributes: noAttributes,
    content: () => (type === 'file' ? readEntry(entry) : nothing()),
  };
}

/** A file's is part of its identity; of a directory it is looked up, a link's cannot be set. */
function mtimeOf({ type, identity, source }: ContextEntry): number {
  if (identity !== null) return Number(BigInt(identity.split(':')[3] ?? 0) / 1_000_000_000n);
  if (type !== 'directory') return 0;
  try {
    return Math.floor(lstatSync(fsPath(source)).mtimeMs / 1000);
  } catch (error) {
    throw readError(source, error);
  }
}

/** @throws PreflightError when the file is not what it was when it was found */
async function* readEntry({ source, identity, size }: ContextEntry): AsyncGenerator<Buffer> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  const isSame = (fd: number): boolean => identityOf(fstatSync(fd, { bigint: true })) === identity;
  let fd: number;
  try {
    fd = openSync(fsPath(source), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  } catch (error) {
    throw readError(source, error);
  }
  try {
    if (!isSame(fd)) throw changedWhileRead(source);
    for (let position = 0; position < size; ) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - position));
      const { bytesRead } = await readAsync(fd, buffer, 0, buffer.length, position);
      if (bytesRead === 0) throw changedWhileRead(source);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    if (!isSame(fd)) throw changedWhileRead(source);
  } catch (error) {
    throw readError(source, error);
  } finally {
    closeSync(fd);
  }
}

/** A here-document: a file of root's that is as new as the step. */
export function itemOfInline({ name, content }: InlineFile): CopyItem {
  const bytes = Buffer.from(content);
  return {
    ...{ type: 'file', path: name, isSource: true, mode: 0o644, uid: 0, gid: 0, target: null },
    size: bytes.length,
    mtime: Math.floor(Date.now() / 1000),
    attributes: noAttributes,
    async *content() {
      yield bytes;
    },
  };
}
