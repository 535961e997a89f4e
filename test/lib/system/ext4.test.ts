import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkExt4, growExt4, makeExt4, recoverExt4, repairAndPunch } from '../../../src/lib/system/ext4.ts';
import { run } from '../../../src/lib/system/process.ts';
import { readSuperblock } from '../../../src/lib/system/superblock.ts';
import { readGuest, statGuest } from '../../support/guest-files.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'ext4-'));
const image = path.join(directory, 'disk.img');
const tree = path.join(directory, 'tree');
const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/** Bytes that a file takes up on disk. */
const allocated = (file: string): number => statSync(file).blocks * 512;

async function debugfs(...commands: string[]): Promise<void> {
  const script = path.join(directory, 'script');
  writeFileSync(script, commands.map((command) => `${command}\n`).join(''));
  await run('debugfs', ['-w', '-f', script, image]);
}

const digestOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

beforeAll(() => {
  mkdirSync(path.join(tree, 'sub'), { recursive: true });
  chmodSync(tree, 0o711);
  chownSync(tree, 7, 8);
  writeFileSync(path.join(tree, 'sub', 'file'), 'content');
  chownSync(path.join(tree, 'sub', 'file'), 1000, 1000);
  chmodSync(path.join(tree, 'sub', 'file'), 0o4755);
  linkSync(path.join(tree, 'sub', 'file'), path.join(tree, 'linked'));
  symlinkSync('sub', path.join(tree, 'symlink'));
});
afterEach(() => rmSync(image, { force: true }));
afterAll(() => rmSync(directory, { recursive: true }));

describe('makeExt4', () => {
  it('makes a sparse filesystem of fixed features, whatever the host prefers', async () => {
    const config = path.join(directory, 'mke2fs.conf');
    const preferred = 'base_features = sparse_super,quota\nblocksize = 1024\ninode_ratio = 65536';
    writeFileSync(
      config,
      `[defaults]\n${preferred}\n[fs_types]\next4 = {\nfeatures = casefold,inline_data\n}\n`,
    );
    await makeExt4(image, {
      sizeBytes: 2 * GiB,
      label: 'root',
      uuid: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
      runTool: (file, args, options) => run(file, args, { ...options, env: { MKE2FS_CONFIG: config } }),
    });
    await checkExt4(image);
    const superblock = readSuperblock(image);
    expect(superblock).toMatchObject({
      generation: 'ext4',
      blockSize: 4096,
      sizeBytes: 2 * GiB,
      label: 'root',
      uuid: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
      inodeCount: 131_072,
    });
    expect([...superblock.features].sort()).toEqual(
      'has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum'
        .split(' ')
        .sort(),
    );
    expect(statSync(image)).toMatchObject({ size: 2 * GiB });
    expect(statSync(image).mode & 0o777).toBe(0o600);
    expect(allocated(image)).toBeLessThan(4 * MiB);
    const { stdout } = await run('dumpe2fs', ['-h', image]);
    expect(stdout).toMatch(/Reserved block count: +0\n/u);
    expect(await statGuest(image, '/')).toMatchObject({ mode: 0o755, uid: 0, gid: 0 });
  });

  it('takes a directory with owners, modes, links, and those of the directory itself', async () => {
    await makeExt4(image, { sizeBytes: 16 * MiB, fromDirectory: tree });
    await checkExt4(image);
    expect(await statGuest(image, '/')).toMatchObject({ type: 'directory', mode: 0o711, uid: 7, gid: 8 });
    const file = await statGuest(image, '/sub/file');
    expect(file).toMatchObject({ mode: 0o4755, uid: 1000, gid: 1000, links: 2, size: 7 });
    expect(await statGuest(image, '/linked')).toEqual(file);
    expect(await statGuest(image, '/symlink')).toMatchObject({ type: 'symlink' });
    expect(await readGuest(image, '/sub/file')).toBe('content');
  });

  it('runs its tools where it is told to', async () => {
    const tools: string[] = [];
    await makeExt4(image, {
      sizeBytes: 16 * MiB,
      fromDirectory: tree,
      runTool: (file, args, options) => {
        tools.push(file);
        return run(file, args, options);
      },
    });
    expect(tools).toEqual(['stat', 'mke2fs']);
  });

  it('leaves nothing when it fails', async () => {
    writeFileSync(path.join(tree, 'large'), Buffer.alloc(20 * MiB, 1));
    await expect(makeExt4(image, { sizeBytes: 16 * MiB, fromDirectory: tree })).rejects.toMatchObject({
      code: 'tool_failed',
    });
    rmSync(path.join(tree, 'large'));
    await expect(makeExt4(image, { sizeBytes: 4096 })).rejects.toMatchObject({ code: 'tool_failed' });
    const linked = path.join(tree, 'symlink');
    await expect(makeExt4(image, { sizeBytes: 16 * MiB, fromDirectory: linked })).rejects.toMatchObject({
      code: 'preflight_failed',
      message: `${linked} is a symbolic link, not a directory`,
    });
    for (const bad of [{ sizeBytes: 0 }, { sizeBytes: 1.5 }, { sizeBytes: 16 * MiB, label: 'ä'.repeat(9) }]) {
      await expect(makeExt4(image, bad)).rejects.toMatchObject({ code: 'usage' });
    }
    await expect(makeExt4(image, { sizeBytes: 16 * MiB, signal: AbortSignal.abort() })).rejects.toThrow();
    expect(existsSync(image)).toBe(false);
  });

  it('never replaces a file', async () => {
    writeFileSync(image, 'precious');
    await expect(makeExt4(image, { sizeBytes: 16 * MiB })).rejects.toMatchObject({ code: 'EEXIST' });
    expect(readFileSync(image, 'utf8')).toBe('precious');
  });
});

describe('growExt4', () => {
  beforeEach(() => makeExt4(image, { sizeBytes: 16 * MiB, fromDirectory: tree }));

  it('grows the filesystem with its content, and only there', async () => {
    await growExt4(image, GiB);
    await checkExt4(image);
    expect(readSuperblock(image).sizeBytes).toBe(GiB);
    expect(await readGuest(image, '/sub/file')).toBe('content');
    expect(allocated(image)).toBeLessThan(4 * MiB);
  });

  // In one step resize2fs breaks it.
  it('grows a small one more than 1024 times', async () => {
    await growExt4(image, 40 * GiB);
    await checkExt4(image);
    expect(readSuperblock(image).sizeBytes).toBe(40 * GiB);
  });

  it('fills a file that is larger than its filesystem, and else does nothing', async () => {
    truncateSync(image, 32 * MiB);
    await growExt4(image, 32 * MiB);
    expect(readSuperblock(image).sizeBytes).toBe(32 * MiB);
    const before = digestOf(image);
    await growExt4(image, 32 * MiB);
    expect(digestOf(image)).toBe(before);
  });

  it('never shrinks', async () => {
    const before = digestOf(image);
    await expect(growExt4(image, 16 * MiB - 4096)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/disk.img is 16 MiB and cannot shrink to/u),
    });
    expect(digestOf(image)).toBe(before);
  });

  it('replays a journal first', async () => {
    await debugfs('jo', 'jw -b 3000 /dev/zero', 'jc');
    expect(readSuperblock(image).needsRecovery).toBe(true);
    await growExt4(image, 64 * MiB);
    expect(readSuperblock(image)).toMatchObject({ needsRecovery: false, sizeBytes: 64 * MiB });
    await checkExt4(image);
  });

  it('leaves a damaged one as long as it was', async () => {
    await debugfs('zap_block -f / 0');
    await expect(growExt4(image, 64 * MiB)).rejects.toMatchObject({ code: 'corrupt' });
    expect(statSync(image).size).toBe(16 * MiB);
  });
});

describe('checkExt4', () => {
  beforeEach(() => makeExt4(image, { sizeBytes: 16 * MiB, fromDirectory: tree }));

  it('names a damaged filesystem and what e2fsck found, and changes nothing', async () => {
    await debugfs('set_inode_field /sub/file links_count 7');
    const before = digestOf(image);
    await expect(checkExt4(image)).rejects.toMatchObject({
      code: 'corrupt',
      exitCode: 11,
      message: expect.stringMatching(/disk.img is damaged: e2fsck -fn says\n.*ref count is 7, should be 2/u),
    });
    expect(digestOf(image)).toBe(before);
  });

  it('refuses a superblock that claims what cannot be, without trying', { timeout: 5000 }, async () => {
    const claim = Buffer.alloc(4, 0xff);
    writeSync(openSync(image, 'r+'), claim, 0, 4, 1024 + 0x150);
    await expect(checkExt4(image)).rejects.toMatchObject({ code: 'corrupt' });
    for (const work of [recoverExt4, repairAndPunch]) {
      await expect(work(image)).rejects.toMatchObject({ code: 'corrupt' });
    }
    await expect(growExt4(image, GiB)).rejects.toMatchObject({ code: 'corrupt' });
  });

  it('tells a missing file and one cut off from each other', async () => {
    truncateSync(image, 8 * MiB);
    await expect(checkExt4(image)).rejects.toMatchObject({
      message: expect.stringContaining('is truncated'),
    });
    await expect(checkExt4(`${image}.missing`)).rejects.toMatchObject({ code: 'preflight_failed' });
  });

  it('stops when that is no longer wanted', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const checking = checkExt4(image, { signal: controller.signal });
    controller.abort(reason);
    await expect(checking).rejects.toBe(reason);
  });
});

describe('repairAndPunch', () => {
  beforeEach(async () => {
    await makeExt4(image, { sizeBytes: 64 * MiB, fromDirectory: tree });
    const large = path.join(directory, 'large');
    writeFileSync(large, Buffer.alloc(24 * MiB, 1));
    await debugfs(`write ${large} large`, 'rm /large');
    rmSync(large);
  });

  it('turns free blocks into holes', async () => {
    expect(allocated(image)).toBeGreaterThan(24 * MiB);
    expect(await repairAndPunch(image)).toEqual({ repaired: [] });
    expect(allocated(image)).toBeLessThan(2 * MiB);
    await checkExt4(image);
    expect(await readGuest(image, '/sub/file')).toBe('content');
  });

  it('does so too after it had something to mend, which it tells', async () => {
    await debugfs('set_inode_field /sub/file links_count 7');
    const { repaired } = await repairAndPunch(image);
    expect(repaired.join('\n')).toMatch(/ref count is 7, should be 2/u);
    expect(allocated(image)).toBeLessThan(2 * MiB);
    await checkExt4(image);
  });

  it('is not content with an e2fsck that says so, but could not write it all', async () => {
    const bin = path.join(directory, 'bin');
    const log = path.join(directory, 'seeks');
    const copy = path.join(directory, 'copy.img');
    const mend = ['-f', '-y', '-E', 'discard'];
    copyFileSync(image, copy);
    await run('strace', ['-o', log, '-e', 'trace=lseek', 'e2fsck', ...mend, copy]);
    // The last one goes to the superblock's checksum.
    const seeks = readFileSync(log, 'utf8').match(/^lseek/gmu)?.length;
    const strace = `strace -o /dev/null -e trace=lseek -e inject=lseek:error=EIO:when=${seeks}`;
    mkdirSync(bin, { recursive: true });
    const real = (await run('sh', ['-c', 'command -v e2fsck'])).stdout.trim();
    const script = `#!/bin/sh\ncase "$*" in *discard*) exec ${strace} ${real} "$@" ;; esac\nexec ${real} "$@"\n`;
    writeFileSync(path.join(bin, 'e2fsck'), script, { mode: 0o755 });
    vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
    try {
      await expect(repairAndPunch(image)).rejects.toMatchObject({
        code: 'tool_failed',
        message: expect.stringContaining('e2fsck did not write all that it should'),
      });
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('and after a journal that was not replayed', async () => {
    await debugfs('jo', 'jw -b 10000 /dev/zero', 'jc');
    await repairAndPunch(image);
    expect(readSuperblock(image).needsRecovery).toBe(false);
    expect(allocated(image)).toBeLessThan(2 * MiB);
  });
});

it('recoverExt4 replays, but does not guess', async () => {
  await makeExt4(image, { sizeBytes: 16 * MiB, fromDirectory: tree });
  await debugfs('jo', 'jw -b 3000 /dev/zero', 'jc');
  await recoverExt4(image);
  expect(readSuperblock(image).needsRecovery).toBe(false);
  await debugfs('zap_block -f / 0');
  await expect(recoverExt4(image)).rejects.toMatchObject({ code: 'corrupt' });
});
