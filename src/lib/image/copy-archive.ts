import { Readable } from 'node:stream';
import { BangerError } from '../errors.ts';
import { bytesOfName } from '../system/file-name.ts';
import { mountKind } from '../system/sandbox-requirements.ts';
import { TAR_END, tarHeader, tarPadding } from '../system/tar-stream.ts';
import { oneLine } from '../text.ts';
import type { CopyItem } from './copy-item.ts';

/** Files up to this size are read ahead, in bytes, and how many of them. */
const SMALL = 256 * 1024;
const AHEAD = 16;
/** The guest's ids in an ordinary user's build end there (system/sandbox-holder.ts). */
const MOST_IDS = 65_535;
/** What is handed on at a time, in bytes: a write for each header would take longer than what is written. */
const BLOCK = 256 * 1024;

/**
 * An archive of items in their order, read as it is taken; of all of them little is in memory at any time.
 * @param ahead how many small files are read before it is their turn; 0 where each has to be read in its turn
 */
export function archiveOf(
  items: Iterable<CopyItem> | AsyncIterable<CopyItem>,
  ahead: number = AHEAD,
): Readable {
  return Readable.from(inBlocks(pieces(items, ahead)), { objectMode: false, highWaterMark: BLOCK });
}

/** What an archive says of one item, without its content. */
export function headerOf({ type, path, mode, uid, gid, size, mtime, target }: CopyItem): Buffer {
  const id = Math.max(uid, gid);
  if (id > MOST_IDS && mountKind() === 'fuse') {
    // busybox would leave it root's without a word.
    throw new BangerError(
      'preflight_failed',
      `${oneLine(path)} is to belong to ${id}, and an ordinary user's builds have no ids above ${MOST_IDS}`,
      { hints: ['give it another owner: --chown', 'build as root'] },
    );
  }
  return tarHeader({
    ...{ type, mode, uid, gid, mtime },
    name: bytesOfName(path),
    size: type === 'file' ? size : 0,
    target: target === null ? null : bytesOfName(target),
  });
}

interface Waiting {
  item: CopyItem;
  /** Null for one that is read when its turn has come. */
  content: Promise<Buffer[]> | null;
}

async function* pieces(
  items: Iterable<CopyItem> | AsyncIterable<CopyItem>,
  ahead: number,
): AsyncGenerator<Buffer> {
  const waiting: Waiting[] = [];
  for await (const item of items) {
    const content = item.type === 'file' && ahead > 0 && item.size <= SMALL ? collect(item) : null;
    // It is thrown where it is awaited, if it comes to that.
    content?.catch(() => {});
    waiting.push({ item, content });
    const next = waiting.length > ahead ? waiting.shift() : undefined;
    if (next !== undefined) yield* piecesOf(next);
  }
  for (const next of waiting) yield* piecesOf(next);
  yield TAR_END;
}

async function collect(item: CopyItem): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const piece of item.content()) pieces.push(piece);
  return pieces;
}

async function* piecesOf({ item, content }: Waiting): AsyncGenerator<Buffer> {
  yield headerOf(item);
  if (item.type !== 'file') return;
  if (content === null) yield* item.content();
  else yield* await content;
  yield Buffer.alloc(tarPadding(item.size));
}

async function* inBlocks(small: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let size = 0;
  for await (const piece of small) {
    held.push(piece);
    size += piece.length;
    if (size < BLOCK) continue;
    yield Buffer.concat(held);
    held = [];
    size = 0;
  }
  yield Buffer.concat(held);
}
