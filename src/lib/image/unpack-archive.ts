import { createReadStream } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline, Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { BangerError, messageOf, PreflightError } from '../errors.ts';
import { textOfName } from '../system/file-name.ts';
import { isTarHeader, type ReadEntry, readTar } from '../system/tar-reader.ts';
import { oneLine } from '../text.ts';
import { archiveOf } from './copy-archive.ts';
import type { CopyItem } from './copy-item.ts';
import { type CopyPlace, Finish, type Owner, putArchive } from './guest-archive.ts';
import { leftOne } from './guest-attributes.ts';
import { askGuest, MAKE_DIRECTORY } from './guest-question.ts';
import { noteLeft, type StepSurroundings } from './recipe-surroundings.ts';

/** A file that holds a tar archive. */
export interface Archive {
  /** Which of the items it is. */
  index: number;
  item: CopyItem;
  compression: Compression | null;
}

type Compression = keyof typeof MAGIC;

/** What compressed files begin with (RFC 1952, 8878; bzip2's and xz's own format descriptions). */
const MAGIC = {
  gzip: Buffer.from([0x1f, 0x8b]),
  bzip2: Buffer.from('BZh'),
  xz: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]),
  zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]),
};
const BLOCK = 512;

const FIRST_BLOCK_SCRIPT = `"$box" "$1" 2>/dev/null | "$box" head -c ${BLOCK} | "$box" base64 -w 0`;
const OUTPUT = '/run/banger/unpacked';
/** No more than there is room for in the image. */
const DECOMPRESS_SCRIPT = `"$box" "$1" | "$box" head -c "$2" >${OUTPUT}`;
const DIRECTORY_SCRIPT = `${MAKE_DIRECTORY}\nmake_directory "$1" "$2"`;

/**
 * The archives among what is to be copied: sources whose content is a tar archive, compressed or not, whatever their names
 * (Dockerfile reference, ADD). A compressed file of something else is none.
 */
export async function findArchives(items: Iterable<CopyItem>, around: StepSurroundings): Promise<Archive[]> {
  const archives: Archive[] = [];
  let index = -1;
  for (const item of items) {
    index += 1;
    if (!item.isSource || item.type !== 'file') continue;
    around.signal.throwIfAborted();
    const head = await firstBytes(item.content());
    const compression = (Object.keys(MAGIC) as Compression[]).find((name) =>
      head.subarray(0, MAGIC[name].length).equals(MAGIC[name]),
    );
    const first = compression === undefined ? head : await firstUnpacked(item, compression, around);
    if (isTarHeader(first)) archives.push({ index, item, compression: compression ?? null });
  }
  return archives;
}

async function firstBytes(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece);
    size += piece.length;
    if (size >= BLOCK) break;
  }
  return Buffer.concat(pieces).subarray(0, BLOCK);
}

/** What a compressed file begins with; nothing of one that is no such file, after all. */
async function firstUnpacked(
  item: CopyItem,
  compression: Compression,
  around: StepSurroundings,
): Promise<Buffer> {
  const decompress = decompressor(compression);
  if (decompress === null) {
    const input = Readable.from(item.content());
    const encoded = await askGuest(FIRST_BLOCK_SCRIPT, [appletOf(compression)], around, { input });
    return Buffer.from(encoded, 'base64');
  }
  try {
    return await firstBytes(through(item, decompress));
  } catch (error) {
    if (error instanceof BangerError) throw error;
    return Buffer.alloc(0);
  }
}

/** Of what Node.js unpacks itself. */
function decompressor(compression: Compression): Transform | null {
  if (compression === 'gzip') return createGunzip();
  return compression === 'zstd' ? createZstdDecompress() : null;
}

function appletOf(compression: Compression): string {
  return compression === 'xz' ? 'xzcat' : 'bzcat';
}

function through(item: CopyItem, decompress: Transform): AsyncIterable<Buffer> {
  // Who reads it is told of what went wrong.
  pipeline(Readable.from(item.content()), decompress, () => {});
  return decompress;
}

/**
 * Unpacks an archive into a directory of the guest, and nowhere else: the rest of the image cannot be written to meanwhile.
 * Owners are the archive's own unless others are given (BuildKit, solver/llbsolver/file/unpack.go).
 * @throws BangerError `step_failed` when it does not go into the directory
 * @throws PreflightError when it is broken, or holds names that lead out of itself
 */
export async function unpackArchive(
  archive: Archive,
  { directory, owner }: { directory: string; owner: Owner | null },
  { title, where }: { title: string; where: string },
  around: StepSurroundings,
): Promise<void> {
  const { uid, gid } = owner ?? { uid: 0, gid: 0 };
  await askGuest(DIRECTORY_SCRIPT, [directory, `${uid}:${gid}`], around);
  const finish = new Finish();
  const left: string[] = [];
  const attributes: string[] = [];
  const place: CopyPlace = { directory, owner: { uid, gid }, isAlone: true };
  const scratch = join(around.scratchDir, 'archive.tar');
  try {
    const bytes = await openArchive(archive, scratch, around);
    const items = itemsOf(readTar(bytes), { owner, finish, left, attributes });
    await putArchive(archiveOf(items, 0), new Finish(), place, title, around);
  } catch (error) {
    around.signal.throwIfAborted();
    throw explain(error, archive, where);
  } finally {
    await rm(scratch, { force: true });
  }
  if (!finish.isNothing) await putArchive(null, finish, place, `${title}: owners and modes`, around);
  attributes.push(...(await finish.attributes.set(place, title, around)));
  noteLeft(`${archive.item.path}: devices and FIFOs are left out`, left, around.log);
  noteLeft(`${archive.item.path}: extended attributes are left out`, attributes, around.log);
}

async function openArchive(
  { item, compression }: Archive,
  scratch: string,
  around: StepSurroundings,
): Promise<AsyncIterable<Buffer>> {
  if (compression === null) return item.content();
  const decompress = decompressor(compression);
  if (decompress !== null) return through(item, decompress);
  // busybox knows these two, and is better kept from everything but the archive and the result.
  const said = await askGuest(`"$box" stat -f -c '%b %S' /`, [], around);
  const [blocks = 0, size = 0] = said.split(' ').map(Number);
  await writeFile(scratch, '');
  await askGuest(DECOMPRESS_SCRIPT, [appletOf(compression), String(blocks * size)], around, {
    input: Readable.from(item.content()),
    mounts: [{ kind: 'bind', source: scratch, target: OUTPUT, writable: true }],
  });
  return createReadStream(scratch);
}

interface Taking {
  owner: Owner | null;
  finish: Finish;
  /** Names of what is left out. */
  left: string[];
  /** Extended attributes that are left out. */
  attributes: string[];
}

async function* itemsOf(
  entries: AsyncIterable<ReadEntry>,
  { owner, finish, left, attributes }: Taking,
): AsyncGenerator<CopyItem> {
  for await (const entry of entries) {
    const { type, mode, size, mtime } = entry;
    const path = pathInside(entry.name);
    if (path === '') continue;
    if (type === 'device' || type === 'fifo') {
      left.push(path);
      continue;
    }
    attributes.push(...entry.unread.map((record) => leftOne(path, record)));
    const { uid, gid } = owner ?? entry;
    const target = entry.target === null || type === 'symlink' ? entry.target : null;
    const item: CopyItem = {
      ...{ type, path, mode, uid, gid, size, mtime, isSource: false },
      attributes: () => entry.attributes,
      target:
        type === 'link' && entry.target !== null
          ? pathInside(entry.target)
          : target === null
            ? null
            : textOfName(target),
      content: entry.content,
    };
    finish.add(item);
    if (type !== 'directory') yield item;
  }
}

/** A name as a path below the target, from wherever it says it begins. */
function pathInside(name: Buffer): string {
  const parts = textOfName(name)
    .split('/')
    .filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) {
    throw new BangerError(
      'preflight_failed',
      `the archive holds a name that leads out of it: ${oneLine(textOfName(name))}`,
    );
  }
  return parts.join('/');
}

function explain(error: unknown, { item }: Archive, where: string): unknown {
  if (error instanceof PreflightError) return error;
  if (error instanceof BangerError && error.code !== 'preflight_failed') return error;
  const why = error instanceof BangerError ? error.message : `it cannot be decompressed: ${messageOf(error)}`;
  return new PreflightError(where, [
    {
      message: `${oneLine(item.path)}: ${oneLine(why)}`,
      mend: 'make the archive anew, or copy it as it is by COPY',
    },
  ]);
}
