import { PassThrough, pipeline, Readable, type Transform } from 'node:stream';
import { createInflateRaw, createZstdDecompress } from 'node:zlib';
import { BangerError } from '../errors.ts';
import type { InitrdFormat } from './initrd-image.ts';
import { findTool } from './preflight.ts';
import { lastLines, start } from './process.ts';

/** A part of an initrd that is being unpacked. */
export interface Unpacking {
  output: AsyncIterable<Buffer>;
  /**
   * Once the output has ended: how many bytes of the input it was made from; null where the tool that did it took all there
   * was.
   */
  consumed(): number | null;
}

export type Compression = Exclude<InitrdFormat, 'cpio'>;

/** In bytes; Node's own 16 KiB make eight times as many turns. */
const CHUNK_BYTES = 128 * 1024;
/** More than any compressor makes use of by itself (xz -9 takes 65 MiB), less than a claim of 4 GiB. */
const XZ_MEMORY = '--memlimit-decompress=1GiB';

/** What unpacks the other formats, and the Debian package that brings it. */
const TOOLS: Readonly<
  Record<Exclude<Compression, 'gzip' | 'zstd'>, readonly [package_: string, tool: string, ...args: string[]]>
> = {
  // What follows the stream is another part of the initrd, if not padding.
  xz: ['xz-utils', 'xz', '--decompress', '--stdout', '--format=xz', '--single-stream', XZ_MEMORY],
  lzma: ['xz-utils', 'xz', '--decompress', '--stdout', '--format=lzma', XZ_MEMORY],
  bzip2: ['bzip2', 'bzip2', '--decompress', '--stdout'],
  lz4: ['lz4', 'lz4', '-d', '-c'],
  lzo: ['lzop', 'lzop', '--decompress', '--stdout'],
};

/**
 * Unpacks one compressed part of an initrd, as far as its output is asked for.
 * @param input from the part's first byte on, all that follows
 * @param broken makes the error of what cannot be unpacked
 * @throws BangerError `preflight_failed` when the tool for it is not installed
 */
export async function unpackPart(
  format: Compression,
  input: AsyncIterable<Buffer>,
  broken: (why: string) => Error,
  signal?: AbortSignal,
): Promise<Unpacking> {
  if (format === 'zstd')
    return unpackByNode(input, createZstdDecompress({ chunkSize: CHUNK_BYTES }), 0, broken);
  if (format === 'gzip') return unpackGzip(input, broken);
  const [debianPackage, name, ...args] = TOOLS[format];
  const tool = await findTool(name);
  if (tool === null) {
    throw new BangerError('preflight_failed', `it is compressed by ${format}, and there is no ${name} here`, {
      hints: [`apt-get install ${debianPackage}`],
    });
  }
  return { output: unpackByTool(tool, args, input, broken, signal), consumed: () => null };
}

const GZIP_HEADER_BYTES = 10;
const GZIP_HAS_NAME = 0x08;
/** Sum and size of the content, which no kernel looks at. */
const GZIP_TRAILER_BYTES = 8;

/**
 * As lib/decompress_inflate.c has it: of what may follow the header (RFC 1952) it knows a name. Node's own Gunzip would take
 * what follows for another member, and fail.
 */
async function unpackGzip(input: AsyncIterable<Buffer>, broken: (why: string) => Error): Promise<Unpacking> {
  const iterator = input[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  let headerBytes = 0;
  while (headerBytes === 0) {
    const { value, done } = await iterator.next();
    if (done === true || head.length > CHUNK_BYTES) throw broken('it ends too early');
    head = Buffer.concat([head, value]);
    if (head.length < GZIP_HEADER_BYTES) continue;
    if ((head.readUInt8(3) & GZIP_HAS_NAME) === 0) headerBytes = GZIP_HEADER_BYTES;
    else headerBytes = head.indexOf(0, GZIP_HEADER_BYTES) + 1;
  }
  async function* deflated(): AsyncGenerator<Buffer> {
    try {
      yield head.subarray(headerBytes);
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return unpackByNode(
    deflated(),
    createInflateRaw({ chunkSize: CHUNK_BYTES }),
    headerBytes + GZIP_TRAILER_BYTES,
    broken,
  );
}

function unpackByNode(
  input: AsyncIterable<Buffer>,
  engine: Transform & { bytesWritten: number },
  framing: number,
  broken: (why: string) => Error,
): Unpacking {
  async function* unpacked(): AsyncGenerator<Buffer> {
    // Whatever goes wrong is thrown where the output is read.
    pipeline(Readable.from(input, { objectMode: false, highWaterMark: 1 }), engine, () => {});
    try {
      yield* engine;
    } catch (error) {
      if (error instanceof BangerError || !(error instanceof Error)) throw error;
      throw broken(error.message);
    } finally {
      engine.destroy();
    }
  }
  return { output: unpacked(), consumed: () => framing + engine.bytesWritten };
}

/** Its exit status says little: what follows the part is nothing that it knows. The archive in it must be whole. */
async function* unpackByTool(
  tool: string,
  args: readonly string[],
  input: AsyncIterable<Buffer>,
  broken: (why: string) => Error,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const running = await start(tool, args, {
    stdin: 'pipe',
    stdout: 'stream',
    ...(signal === undefined ? {} : { signal }),
  });
  let hasExited = false;
  void running.exited.then(() => {
    hasExited = true;
  });
  try {
    let failure: unknown;
    // It may end before it has read everything.
    pipeline(Readable.from(input), running.stdin ?? new PassThrough(), (error) => {
      if (error instanceof BangerError) failure = error;
    });
    let bytes = 0;
    for await (const chunk of running.stdout ?? []) {
      bytes += chunk.length;
      yield chunk;
    }
    if (failure !== undefined) throw failure;
    signal?.throwIfAborted();
    if (bytes === 0) throw broken(lastLines((await running.exited).stderr, 1).join('') || 'nothing is in it');
  } finally {
    if (!hasExited) running.kill('SIGKILL');
    await running.exited;
  }
}
