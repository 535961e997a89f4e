import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { attributesOf } from '../../../src/lib/ext4/attributes.ts';
import { piecesOf } from '../../../src/lib/ext4/content.ts';
import { deviceOf, type Inode } from '../../../src/lib/ext4/inode.ts';
import { linkTarget } from '../../../src/lib/ext4/link-target.ts';
import { lookup } from '../../../src/lib/ext4/lookup.ts';
import { type Volume, withVolume } from '../../../src/lib/ext4/volume.ts';
import { walkVolume } from '../../../src/lib/ext4/walk.ts';
import { bytesOfName } from '../../../src/lib/system/file-name.ts';
import { run } from '../../../src/lib/system/process.ts';
import { copiedSpecimen, type Listing, type Seen, writtenSpecimen } from './specimen.ts';

const directory = mkdtempSync(join(tmpdir(), 'walk-'));
/** Another one each time: whoever keeps the mount of one before would make the next mount the very same filesystem. */
let image = '';
let images = 0;
beforeEach(() => {
  images += 1;
  image = join(directory, `${images}.ext4`);
});
afterEach(() => rm(image, { force: true }));
afterAll(() => rm(directory, { recursive: true }));

const TYPE_BITS = {
  fifo: 0x1000,
  char: 0x2000,
  directory: 0x4000,
  block: 0x6000,
  file: 0x8000,
  symlink: 0xa000,
  socket: 0xc000,
  unknown: 0,
};
const ZEROS = Buffer.alloc(1024 * 1024);

function digestOf(volume: Volume, inode: Inode): string {
  const hash = createHash('sha256');
  let at = 0;
  const skipTo = (position: number): void => {
    for (; at < position; at += Math.min(ZEROS.length, position - at)) {
      hash.update(ZEROS.subarray(0, Math.min(ZEROS.length, position - at)));
    }
  };
  for (const { position, bytes } of piecesOf(volume, inode)) {
    skipTo(position);
    hash.update(bytes);
    at += bytes.length;
  }
  skipTo(inode.size);
  return hash.digest('hex');
}

function seenOf(volume: Volume, path: string, inode: Inode): Seen {
  const isDevice = inode.type === 'char' || inode.type === 'block';
  const { major, minor } = isDevice ? deviceOf(inode) : { major: 0, minor: 0 };
  const isDirectory = inode.type === 'directory';
  const hasDigest = inode.type === 'file' && !path.startsWith('crowd/');
  return {
    mode: (TYPE_BITS[inode.type] | inode.mode).toString(16),
    uid: String(inode.uid),
    gid: String(inode.gid),
    links: isDirectory ? null : String(inode.links),
    size: isDirectory ? null : String(inode.size),
    device: `${major.toString(16)}:${minor.toString(16)}`,
    modified: String(Math.floor(inode.modified / 1000)),
    target: inode.type === 'symlink' ? bytesOfName(linkTarget(volume, inode)).toString('latin1') : '',
    sha256: hasDigest ? digestOf(volume, inode) : '',
  };
}

async function readAll(volume: Volume): Promise<{ paths: string[]; listing: Listing }> {
  const listing = new Map<string, Seen>();
  const paths: string[] = [];
  for await (const { path, inode } of walkVolume(volume)) {
    const bytes = bytesOfName(path).toString('latin1');
    if (bytes === 'lost+found') continue;
    paths.push(bytes);
    listing.set(bytes, seenOf(volume, bytes, inode));
  }
  return { paths, listing };
}

/** What the root directory is like, mke2fs decides. */
function only(listing: Listing, without: string): Record<string, Seen> {
  return Object.fromEntries([...listing].filter(([path]) => path !== '' && path !== without).sort());
}

async function expectSame(expected: Listing, without = ''): Promise<void> {
  await run('e2fsck', ['-fn', image]);
  await withVolume(image, async (volume) => {
    const { paths, listing } = await readAll(volume);
    expect(only(listing, without)).toEqual(only(expected, without));
    // By directory: a slash comes before whatever may be in a name.
    const inOrder = [...paths].sort((a, b) => (a.replaceAll('/', '\0') < b.replaceAll('/', '\0') ? -1 : 1));
    expect(paths).toEqual(inOrder);
    const one = lookup(volume, 'd1/large', { follow: false });
    for (const name of ['d3/hard1', 'd3/hard2', 'd3/up/large']) {
      expect(lookup(volume, name, { follow: true })?.number).toBe(one?.number);
    }
  });
}

const SMALL_BLOCKS = ['-b', '1024'];
/** By mke2fs 1.47.0, where it keeps small files inline. */
const CUT_SHORT = 'd1/far';
const OLD = '^extents,^64bit,^metadata_csum,^flex_bg';

describe.runIf(inject('testRun').root)(
  'an image that the kernel wrote is read as the kernel reads it',
  () => {
    test.for<[what: string, options: readonly string[], also?: readonly string[]]>([
      ['as banger makes them', ['-b', '4096', '-I', '256']],
      ['blocks of 1 KiB, hashed directories of two levels', SMALL_BLOCKS],
      ['block maps', [...SMALL_BLOCKS, '-O', OLD]],
      ['without a journal', ['-O', '^has_journal']],
      ['inodes of 128 bytes', [...SMALL_BLOCKS, '-I', '128', '-O', '^64bit,^metadata_csum']],
      ['inline data', ['-O', 'inline_data']],
      ['inline data in large inodes', ['-O', 'inline_data', '-I', '1024']],
      ['values in inodes', ['-b', '4096', '-O', 'ea_inode'], ['huge']],
      ['no types in directories', ['-O', '^filetype']],
      ['no hashed directories', [...SMALL_BLOCKS, '-O', '^dir_index']],
      ['spread descriptors', [...SMALL_BLOCKS, '-g', '1024', '-O', 'meta_bg,^resize_inode']],
      [
        'spread descriptors of 32 bytes',
        [...SMALL_BLOCKS, '-g', '1024', '-O', 'meta_bg,^resize_inode,^64bit'],
      ],
      ['clusters', ['-O', 'bigalloc', '-C', '16384']],
      ['sparse_super2', [...SMALL_BLOCKS, '-O', 'sparse_super2,^resize_inode']],
    ])('%s', async ([, options, also]) => {
      const expected = await writtenSpecimen(image, 64, options, also);
      await expectSame(expected);
      await withVolume(image, (volume) => {
        const attributes = (path: string): [string, string][] => {
          const inode = lookup(volume, path, { follow: false });
          if (inode === null) throw new Error(`no ${path}`);
          return [...attributesOf(volume, inode)].map(([name, value]) => [name, value.toString('latin1')]);
        };
        expect(attributes('d1/s1')).toEqual([
          ['trusted.long', 'l'.repeat(600)],
          ['user.empty', ''],
          ['user.small', 'value'],
          ['user.é', '\0\xff'],
        ]);
        expect(attributes('d1')).toEqual([['user.directory', 'd'.repeat(40)]]);
        expect(attributes('d1/large').map(([name]) => name)).toEqual(['security.capability']);
        expect(attributes('d1/s0')).toEqual(also ? [['user.huge', 'h'.repeat(30000)]] : []);
        expect(attributes('d3/link30')).toEqual([]);
      });
    });
  },
);

describe.runIf(inject('testRun').root)(
  'an image that mke2fs filled is read as what it was filled with',
  () => {
    test.for<[what: string, options: readonly string[], without?: string]>([
      ['as banger makes them', ['-b', '4096', '-I', '256']],
      ['blocks of 64 KiB', ['-b', '65536']],
      ['block maps', [...SMALL_BLOCKS, '-O', OLD]],
      ['inline data', ['-O', 'inline_data'], CUT_SHORT],
      ['spread descriptors', [...SMALL_BLOCKS, '-g', '1024', '-O', 'meta_bg,^resize_inode']],
      ['clusters, of blocks of 1 KiB', [...SMALL_BLOCKS, '-O', 'bigalloc', '-C', '8192']],
    ])('%s', async ([, options, without]) => {
      await expectSame(await copiedSpecimen(image, 256, options), without);
    });
  },
);
