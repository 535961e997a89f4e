import { BangerError } from '../errors.ts';
import { ByteStream } from './byte-stream.ts';
import { textOfName } from './file-name.ts';

/** One entry of an archive, whoever made it: nothing of it can be trusted. */
export interface ReadEntry {
  type: 'file' | 'directory' | 'symlink' | 'link' | 'device' | 'fifo';
  name: Buffer;
  mode: number;
  uid: number;
  gid: number;
  /** Bytes of content; 0 of what has none. */
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  /** Of a symbolic or hard link. */
  target: Buffer | null;
  /** Extended attributes, values as setxattr(2) takes them. */
  attributes: ReadonlyMap<string, Buffer>;
  /** Records that tell of more of them, in other ways. */
  unread: string[];
  /** To be taken, if at all, before the next entry is asked for. */
  content(): AsyncIterable<Buffer>;
}

const BLOCK = 512;
/** Names and records that are longer than this are nobody's in earnest, in bytes. */
const MAX_HEADER = 1024 * 1024;
const TYPES: Readonly<Record<string, ReadEntry['type']>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'device',
  '4': 'device',
  '5': 'directory',
  '6': 'fifo',
};

function broken(why: string): BangerError {
  return new BangerError('preflight_failed', `the archive is broken: ${why}`);
}

/** Whether a block is the header of an entry: its sum is right (tar(5)). Some have summed up signed bytes. */
export function isTarHeader(block: Buffer): boolean {
  if (block.length < BLOCK) return false;
  const expected = octal(block.subarray(148, 156));
  if (expected === null || expected === 0) return false;
  let [unsigned, signed] = [0, 0];
  for (let index = 0; index < BLOCK; index += 1) {
    const byte = index >= 148 && index < 156 ? 0x20 : block.readUInt8(index);
    unsigned += byte;
    signed += byte < 0x80 ? byte : byte - 0x100;
  }
  return expected === unsigned || expected === signed;
}

/**
 * Reads a tar archive as it comes: ustar, with GNU's and POSIX's long names and large numbers (tar(5); POSIX.1-2017, pax).
 * @throws BangerError `preflight_failed` for one that is broken or ends too early, or holds what only GNU tar unpacks
 */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<ReadEntry> {
  const bytes = new ByteStream(source, () => broken('it ends too early'));
  const global = new Map<string, Buffer>();
  let local = new Map<string, Buffer>();
  for (;;) {
    const header = await bytes.take(BLOCK);
    if (header === null || header.every((byte) => byte === 0)) return;
    if (!isTarHeader(header)) throw broken('a header is wrong');
    const type = header.toString('latin1', 156, 157);
    const ownSize = number(header, 124, 12);
    if ('LKxg'.includes(type)) {
      if (ownSize > MAX_HEADER) throw broken('a header is too long');
      const content = await bytes.takeAll(ownSize);
      await bytes.skip(padding(ownSize));
      if (type === 'L') local.set('path', untilNul(content));
      else if (type === 'K') local.set('linkpath', untilNul(content));
      else for (const [key, value] of paxRecords(content)) (type === 'x' ? local : global).set(key, value);
      continue;
    }
    const records = new Map([...global, ...local]);
    local = new Map();
    const entry = entryOf(header, type, records);
    let left = entry.type === 'file' ? entry.size : 0;
    // A hard link may tell the size of the file that it is, without having it.
    const stored = entry.type === 'file' ? entry.size : entry.type === 'link' ? 0 : ownSize;
    const rest = stored - left + padding(stored);
    yield {
      ...entry,
      async *content() {
        while (left > 0) {
          const piece = await bytes.some(left);
          left -= piece.length;
          yield piece;
        }
      },
    };
    await bytes.skip(left + rest);
  }
}

function entryOf(
  header: Buffer,
  letter: string,
  records: ReadonlyMap<string, Buffer>,
): Omit<ReadEntry, 'content'> {
  const keys = [...records.keys()];
  if (letter === 'S' || keys.some((key) => key.startsWith('GNU.sparse.'))) {
    throw new BangerError('preflight_failed', 'the archive holds sparse files, which only GNU tar unpacks', {
      hints: ['make it without --sparse'],
    });
  }
  const isUstar = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isUstar ? untilNul(header.subarray(345, 500)) : Buffer.alloc(0);
  const short = untilNul(header.subarray(0, 100));
  const name =
    records.get('path') ?? (prefix.length === 0 ? short : Buffer.concat([prefix, Buffer.from('/'), short]));
  // Before there was a type for directories, a slash made one; what nobody knows is a file (POSIX.1-2017, pax).
  const known = TYPES[letter] ?? 'file';
  const type = known === 'file' && name.at(-1) === 0x2f ? 'directory' : known;
  const recorded = (key: string, at: number, length: number): number => {
    const text = records.get(key)?.toString('latin1');
    if (text === undefined) return number(header, at, length);
    if (!/^-?\d{1,16}(?:\.\d*)?$/u.test(text)) throw broken(`${key} is no number`);
    return Math.max(0, Math.floor(Number(text)));
  };
  return {
    type,
    name,
    mode: number(header, 100, 8) & 0o7777,
    uid: recorded('uid', 108, 8),
    gid: recorded('gid', 116, 8),
    size: type === 'file' ? recorded('size', 124, 12) : 0,
    mtime: recorded('mtime', 136, 12),
    target:
      known === 'link' || known === 'symlink'
        ? (records.get('linkpath') ?? untilNul(header.subarray(157, 257)))
        : null,
    ...attributesOf(records),
  };
}

/** What star began, and Docker's archives have (star(4), SCHILY.xattr). libarchive writes each in its own way as well. */
function attributesOf(records: ReadonlyMap<string, Buffer>): Pick<ReadEntry, 'attributes' | 'unread'> {
  const attributes = new Map<string, Buffer>();
  const others: [record: string, name: string][] = [];
  for (const [key, value] of records) {
    const [, kind, name = ''] = /^(SCHILY\.xattr|SCHILY\.acl|LIBARCHIVE\.xattr)\.(.+)$/su.exec(key) ?? [];
    // A copy: whoever keeps it does not keep the header.
    if (kind === 'SCHILY.xattr') attributes.set(name, Buffer.from(value));
    else if (kind !== undefined) others.push([key, name]);
  }
  const unread = others.filter(([, name]) => !attributes.has(name)).map(([record]) => record);
  return { attributes, unread };
}

function* paxRecords(content: Buffer): Generator<[string, Buffer]> {
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = space === -1 ? Number.NaN : Number(content.toString('latin1', at, space));
    const equals = content.indexOf(0x3d, space);
    if (
      !Number.isInteger(length) ||
      length <= 0 ||
      at + length > content.length ||
      equals === -1 ||
      equals >= at + length
    ) {
      throw broken('a record of a header is wrong');
    }
    yield [textOfName(content.subarray(space + 1, equals)), content.subarray(equals + 1, at + length - 1)];
    at += length;
  }
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end));
}

function octal(field: Buffer): number | null {
  const text = field
    .toString('latin1')
    .replace(/[\0 ].*$/su, (rest) => (/^[\0 ]*$/u.test(rest) ? '' : rest))
    .trim();
  if (text === '') return 0;
  return /^[0-7]+$/u.test(text) ? Number.parseInt(text, 8) : null;
}

/** In octal, or in base 256 where the highest bit is set. Less than nothing is nothing. */
function number(header: Buffer, at: number, length: number): number {
  const field = header.subarray(at, at + length);
  const first = field.readUInt8(0);
  if ((first & 0x80) === 0) {
    const value = octal(field);
    if (value === null) throw broken('a number of a header is none');
    return value;
  }
  if ((first & 0x40) !== 0) return 0;
  const value = field.subarray(1).reduce((total, byte) => total * 256 + byte, first & 0x3f);
  if (!Number.isSafeInteger(value)) throw broken('a number of a header is too large');
  return value;
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}
