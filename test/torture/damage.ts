import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { run } from '../../src/lib/system/process.ts';
import type { Seeded } from './seeded.ts';

/** A way to damage an ext4 image. */
export interface Damage {
  name: string;
  apply(image: string): Promise<void>;
}

/** A part of an image, in bytes. */
interface Region {
  name: string;
  start: number;
  length: number;
}

/** A file of so many pieces with holes between them that its extents need a tree of two levels. */
export const SCATTERED = '/var/scattered';

export function scatteredContent(): string {
  return `${'x'.repeat(8192)}${'\0'.repeat(8192)}`.repeat(24);
}

async function debugfs(image: string, ...commands: string[]): Promise<string> {
  const results = [];
  for (const command of commands) results.push(await run('debugfs', ['-w', ...['-R', command], image]));
  return results.map(({ stdout }) => stdout).join('');
}

/** Where an image keeps what, as dumpe2fs(8) and debugfs(8) tell. */
async function regionsOf(image: string): Promise<Region[]> {
  const { stdout } = await run('dumpe2fs', [image]);
  const field = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1]);
  const blockSize = field(/^Block size:\s+(\d+)$/mu);
  const inodeSize = field(/^Inode size:\s+(\d+)$/mu);
  const firstBlock = field(/^First block:\s+(\d+)$/mu);
  const at = (name: string, block: number, blocks = 1): Region => ({
    name,
    start: block * blockSize,
    length: blocks * blockSize,
  });
  const blocksOf = async (path: string): Promise<number[]> =>
    (await debugfs(image, `blocks ${path}`)).trim().split(/\s+/u).map(Number);
  const inodeOf = async (path: string): Promise<number> => {
    const found = /located at block (\d+), offset (0x[0-9a-f]+)/u.exec(await debugfs(image, `imap ${path}`));
    return Number(found?.[1]) * blockSize + Number(found?.[2]);
  };
  const extents = /\(ETB\d+\):(\d+)/u.exec(await debugfs(image, `stat ${SCATTERED}`));
  const [journal = 0] = await blocksOf('<8>');
  const directories = await Promise.all(
    ['/', '/bin', '/etc', '/root'].map(async (path) => ({ path, blocks: await blocksOf(path) })),
  );
  // i_block begins 40 bytes into an inode (Documentation/filesystems/ext4/inodes.rst).
  const root = {
    name: 'extent root of /bin/busybox',
    start: (await inodeOf('/bin/busybox')) + 40,
    length: 60,
  };
  const regions = [
    { name: 'superblock', start: 1024, length: 1024 },
    at('group descriptors', firstBlock + 1),
    at('block bitmap', field(/Block bitmap at (\d+)/u)),
    at('inode bitmap', field(/Inode bitmap at (\d+)/u)),
    { ...at('inode table', field(/Inode table at (\d+)/u)), length: 64 * inodeSize },
    at('journal superblock', journal),
    at('journal', journal + 1, 4),
    root,
    at('extent block', Number(extents?.[1])),
    ...directories.map(({ path, blocks: [block = 0] }) => at(`directory ${path}`, block)),
  ];
  for (const { name, start } of regions) {
    if (!Number.isFinite(start) || start === 0) throw new Error(`${image}: no ${name} was found`);
  }
  return regions;
}

/** Turns bits around, some in bytes that mean something: where there are zeros, bytes are set. */
function flip(image: string, { start, length }: Region, seeded: Seeded, howMany: number): void {
  const file = openSync(image, 'r+');
  try {
    const bytes = Buffer.alloc(length);
    readSync(file, bytes, 0, length, start);
    const used = [...bytes.keys()].filter((index) => bytes[index] !== 0);
    for (let n = 0; n < howMany; n += 1) {
      const index = used.length > 0 && seeded.next() < 0.8 ? seeded.pick(used) : seeded.below(length);
      bytes[index] = (bytes[index] ?? 0) ^ (1 << seeded.below(8));
    }
    writeSync(file, bytes, 0, length, start);
  } finally {
    closeSync(file);
  }
}

/** What debugfs can break in one command or a few. */
const BY_DEBUGFS: readonly (readonly [name: string, ...commands: string[]])[] = [
  ['the root directory wiped', 'zap_block -f / 0'],
  ['a directory of garbage', 'zap_block -f /etc -p 0xa5 0'],
  ['the journal wiped', 'zap_block -f <8> 0'],
  [
    'a journal of garbage to be replayed',
    'jo',
    'zap_block -f <8> -o 16 -l 200 -p 0xff 0',
    'feature needs_recovery',
  ],
  ['a journal to be replayed', 'feature needs_recovery'],
  ['errors, as the kernel marks them', 'set_super_value state 2'],
  ['not unmounted', 'set_super_value state 0'],
  ['no journal inode', 'set_super_value journal_inum 0'],
  ['a journal elsewhere', 'set_super_value journal_inum 12'],
  ['orphans that are none', 'set_super_value last_orphan 2'],
  ['a first inode beyond all', 'set_super_value first_ino 4000000000'],
  ['wrong counts', 'set_super_value free_blocks_count 7', 'set_super_value free_inodes_count 7'],
  ['the root a regular file', 'set_inode_field / mode 0100644'],
  ['a root that is deleted', 'clri /'],
  ['a busybox that is a directory', 'set_inode_field /bin/busybox mode 040755'],
  ['a busybox of 8 EiB', 'set_inode_field /bin/busybox size 0x7fffffffffffffff'],
  ['a file of another device', 'set_inode_field /bin/busybox mode 060644'],
  ['too many links', 'set_inode_field /etc/hostname links_count 65000'],
  ['no links', 'set_inode_field /etc/hostname links_count 0'],
  ['blocks in use that are free', 'freeb 300 200'],
  ['blocks free that are in use', 'setb 9000 200'],
  ['inodes in use that are free', 'freei /bin/busybox', 'freei /root/.profile'],
  ['a directory in itself', 'link /root /root/again'],
  ['a directory twice', 'link /bin /var/bin'],
  ['a name without an inode', 'link <4000> /root/nobody'],
  ['a reserved name', 'link <8> /root/journal'],
  ['/root gone', 'unlink /root'],
  ['/root a device', 'set_inode_field /root mode 020700'],
  ['an extended attribute block beyond all', 'set_inode_field /root file_acl 4000000000'],
  ['flags that cannot be', 'set_inode_field /bin/busybox flags 0xffffffff'],
  ['inline data that is none', 'set_inode_field /bin/busybox flags 0x10000000'],
  ['unknown features', 'feature FEATURE_I30', 'feature FEATURE_R30'],
  ['encryption', 'feature encrypt'],
  ['quota without its files', 'feature quota'],
];

/** All damages of an image like this one, in an order that mixes their kinds. */
export async function damagesOf(image: string, seeded: Seeded, flips: number): Promise<Damage[]> {
  const regions = await regionsOf(image);
  const byDebugfs = BY_DEBUGFS.map(
    ([name, ...commands]): Damage => ({
      name,
      async apply(target) {
        await debugfs(target, ...commands);
      },
    }),
  );
  const byFlips = Array.from({ length: flips }, (_, index): Damage => {
    const region = regions[index % regions.length];
    if (region === undefined) throw new Error('an image without regions');
    const howMany = seeded.pick([1, 1, 3, 20]);
    return {
      name: `${howMany} bits of the ${region.name}`,
      async apply(target) {
        flip(target, region, seeded, howMany);
      },
    };
  });
  const all: Damage[] = [];
  for (let index = 0; index < Math.max(byDebugfs.length, byFlips.length); index += 1) {
    all.push(...byDebugfs.slice(index, index + 1), ...byFlips.slice(index, index + 1));
  }
  return all;
}
