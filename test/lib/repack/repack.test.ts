import { mkdtempSync, statSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, inject, test } from 'vitest';
import { BangerError } from '../../../src/lib/errors.ts';
import { lookup } from '../../../src/lib/ext4/lookup.ts';
import { withVolume } from '../../../src/lib/ext4/volume.ts';
import { walkVolume } from '../../../src/lib/ext4/walk.ts';
import { digestTree } from '../../../src/lib/image/tree-digest.ts';
import { type RepackOptions, repackExt4 } from '../../../src/lib/repack/repack.ts';
import { run } from '../../../src/lib/system/process.ts';
import { readSuperblock } from '../../../src/lib/system/superblock.ts';
import { readExt4Tree } from '../../support/ext4-tree.ts';
import { makeRootfs } from '../../support/images.ts';
import { writtenSpecimen } from '../ext4/specimen.ts';

const directory = mkdtempSync(join(tmpdir(), 'repack-'));
const [source, first, second] = ['source', 'first', 'second'].map((name) => join(directory, name)) as [
  string,
  string,
  string,
];
const clear = async (): Promise<void> => {
  for (const path of [source, first, second]) await rm(path, { force: true });
};
beforeEach(clear);
afterEach(clear);
afterAll(() => rm(directory, { recursive: true }));

const UUID = '6d2b1f60-0c5e-8a4b-9d37-25f1c1a0e9b4';
const EPOCH = 1_000_000_000;
/** POSIX ACL as the kernel has it: a version, then tag, permissions and id of each entry (linux/posix_acl_xattr.h). */
const ACL =
  '02000000' +
  ['01000600ffffffff', '0200050039300000', '04000400ffffffff', '10000500ffffffff', '20000400ffffffff'].join(
    '',
  );

async function repack(target: string, more: Partial<RepackOptions> = {}): Promise<void> {
  const { sizeBytes, inodeCount } = readSuperblock(source);
  await repackExt4(source, target, {
    ...{ sizeBytes, inodes: inodeCount, uuid: UUID, hashSeed: UUID, epoch: EPOCH },
    signal: new AbortController().signal,
    ...more,
  });
  await run('e2fsck', ['-fn', target]);
}

function digestOf(path: string): Promise<string> {
  return withVolume(path, (volume) => digestTree(volume, { newest: EPOCH }));
}

/** Every time that any inode has, the filesystem's own included; in milliseconds. */
function latestTime(path: string): Promise<number> {
  return withVolume(path, async (volume) => {
    let latest = Number.NEGATIVE_INFINITY;
    const own = Array.from({ length: 10 }, (_, index) => volume.inode(index + 1));
    const all = [...own];
    for await (const { inode } of walkVolume(volume)) all.push(inode);
    for (const { changed, modified, accessed, created } of all) {
      latest = Math.max(latest, changed, modified, accessed, created ?? 0);
    }
    return latest;
  });
}

async function headOf(path: string): Promise<string> {
  return (await run('dumpe2fs', ['-h', path])).stdout;
}

const SMALL_BLOCKS = ['-b', '1024'];

describe.runIf(inject('testRun').root)('all files are as they were, to the kernel, too', () => {
  test.for<[what: string, options: readonly string[]]>([
    ['as banger makes them', ['-b', '4096', '-I', '256']],
    ['blocks of 1 KiB, hashed directories of two levels', SMALL_BLOCKS],
    ['block maps', [...SMALL_BLOCKS, '-O', '^extents,^64bit,^metadata_csum,^flex_bg']],
    ['blocks of 2 KiB, no journal', ['-b', '2048', '-O', '^has_journal']],
    ['inodes of 128 bytes', [...SMALL_BLOCKS, '-I', '128', '-O', '^64bit,^metadata_csum']],
    ['inline data in large inodes', ['-O', 'inline_data', '-I', '1024']],
    ['spread descriptors', [...SMALL_BLOCKS, '-g', '1024', '-O', 'meta_bg,^resize_inode']],
    ['clusters', ['-O', 'bigalloc', '-C', '16384']],
  ])('%s', async ([, options]) => {
    await writtenSpecimen(source, 96, [...options, '-L', 'specimen', '-e', 'panic']);
    const acl = join(directory, 'acl');
    await writeFile(acl, Buffer.from(ACL, 'hex'));
    for (const command of [
      `ea_set -f ${acl} d1/s100 system.posix_acl_access`,
      `ea_set -f ${acl} d1/s156 system.posix_acl_access`,
      `ea_set d1/s59 user.block ${'b'.repeat(500)}`,
      `ea_set d1/s60 user.block ${'b'.repeat(500)}`,
    ]) {
      const { stderr } = await run('debugfs', ['-w', '-R', command, source]);
      expect(stderr.replace(/^debugfs .*\n/u, '')).toBe('');
    }
    await repack(first);
    await sleep(1100);
    await repack(second);
    await run('cmp', [first, second]);
    expect(await digestOf(first)).toBe(await digestOf(source));
    expect(await latestTime(first)).toBe(EPOCH * 1000);
    // What the values are, the digest of the tree tells.
    const whole = { without: ['lost+found'], anyOrder: true };
    expect(await readExt4Tree(first, whole)).toEqual(await readExt4Tree(source, whole));
    const { stdout: index } = await run('debugfs', ['-R', 'htree crowd', first]);
    expect(index).toContain('Root node dump');
    const head = await headOf(first);
    expect(head).toMatch(/^Filesystem volume name: +specimen$/mu);
    expect(head).toMatch(/^Errors behavior: +Panic$/mu);
    expect(head).toMatch(/^Last mount time: +n\/a$/mu);
    expect(head).toMatch(/^Mount count: +0$/mu);
    for (const time of ['Filesystem created', 'Last write time', 'Last checked']) {
      expect(head).toMatch(new RegExp(`^${time}: +Sun Sep {2}9 01:46:40 2001$`, 'mu'));
    }
  });

  test('a guest goes on writing to it', async () => {
    await writtenSpecimen(source, 96, ['-b', '4096']);
    await repack(first);
    const script = `set -e; mkdir "$1.at"; mount -o loop "$1" "$1.at"; cd "$1.at"
      seq 2500 | sed 's/^/crowd\\/new-/' | xargs touch; rm crowd/1?4*; cp -a d1 d1-copy; dd if=/dev/urandom of=new bs=1M count=8
      setfattr -n user.more -v x d1/s1 2>/dev/null || true; cd ..; umount "$1.at"; rmdir "$1.at"`;
    await run('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', first]);
    await run('e2fsck', ['-fn', first]);
    await withVolume(first, (volume) => {
      expect(lookup(volume, 'crowd/new-2500', { follow: false })?.type).toBe('file');
    });
  });

  test('a value that fits into no block is told, not left behind', async () => {
    await writtenSpecimen(source, 64, ['-b', '4096', '-O', 'ea_inode'], ['huge']);
    await expect(repack(first)).rejects.toThrow(/inode \d+ has extended attributes too large for a block/u);
  });
});

describe('what a file was made with does not count', () => {
  test('names, in whatever order they were made', async () => {
    const names = Array.from({ length: 300 }, (_, index) => `etc/some/name-${index}`);
    const files = (order: readonly string[]) => Object.fromEntries(order.map((name) => [name, name]));
    await makeRootfs(source, { files: files(names), sizeMiB: 24 });
    await repack(first);
    await rm(source);
    await makeRootfs(source, { files: files([...names].reverse()), sizeMiB: 24 });
    await repack(second);
    await run('cmp', [first, second]);
  });

  test('zeros that were written are holes', async () => {
    await makeRootfs(source, {
      files: { zeros: '\0'.repeat(4_000_000), mixed: `${'\0'.repeat(70_000)}end` },
    });
    await repack(first);
    const { stdout } = await run('debugfs', ['-R', 'stat /zeros', first]);
    expect(stdout).toMatch(/Blockcount: 0$/mu);
    expect(stdout).toMatch(/Size: 4000000$/mu);
    expect(await digestOf(first)).toBe(await digestOf(source));
    expect(statSync(first).blocks).toBeLessThan(statSync(source).blocks);
  });

  test('times after the epoch, and those before it count to the nanosecond', async () => {
    await makeRootfs(source, { files: { old: 'old', new: 'new' } });
    for (const command of [
      'set_inode_field old mtime @500000000',
      'set_inode_field old mtime_extra 0x1d6f3454',
      'set_inode_field new mtime @4000000000',
    ]) {
      await run('debugfs', ['-w', '-R', command, source]);
    }
    await repack(first, { epoch: 1_600_000_000 });
    await withVolume(first, (volume) => {
      const timeOf = (path: string) => lookup(volume, path, { follow: false })?.modifiedAt;
      expect(timeOf('old')).toEqual({ seconds: 500_000_000, nanoseconds: 0x1d6f3454 >>> 2 });
      expect(timeOf('new')).toEqual({ seconds: 1_600_000_000, nanoseconds: 0 });
    });
  });
});

describe('a filesystem', () => {
  test('without a place for what is lost gets one', async () => {
    await makeRootfs(source);
    await run('debugfs', ['-w', '-R', 'rmdir lost+found', source]);
    await repack(first);
    expect(await digestOf(first)).toBe(await digestOf(source));
  });

  test('with a deep tree of extents keeps it', async () => {
    await makeRootfs(source, { sizeMiB: 256 });
    // Every other block: no two are one extent.
    const block = Buffer.alloc(4096, 'x');
    const holes = Buffer.concat(
      Array.from({ length: 1500 }, () => Buffer.concat([block, Buffer.alloc(4096)])),
    );
    const scattered = join(directory, 'scattered');
    await writeFile(scattered, holes);
    await run('debugfs', ['-w', '-R', `write ${scattered} scattered`, source]);
    await repack(first);
    const { stdout } = await run('debugfs', ['-R', 'dump_extents scattered', first]);
    expect(stdout).toMatch(/^ 2\/ 2 /mu);
    expect(await digestOf(first)).toBe(await digestOf(source));
  });

  test('that its files do not fit into is told with what helps', async () => {
    await makeRootfs(source);
    const failure = await repack(first, { sizeBytes: 2 ** 20, inodes: 64 }).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(BangerError);
    expect(failure).toMatchObject({ code: 'tool_failed', hints: [expect.stringContaining('--size')] });
  });
});
