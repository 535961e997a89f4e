import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  makeDirectory,
  readInodeFile,
  setOwnership,
  statInode,
  writeInodeFile,
} from '../../../src/lib/system/debugfs.ts';
import { checkExt4, makeExt4 } from '../../../src/lib/system/ext4.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'debugfs-'));
const pristine = path.join(directory, 'pristine.img');
const image = path.join(directory, 'work.img');
const OURS = { mode: 0o640, uid: 70_000, gid: 5 };
const MiB = 1024 * 1024;

beforeAll(async () => {
  const tree = path.join(directory, 'tree');
  mkdirSync(path.join(tree, 'sub dir'), { recursive: true });
  writeFileSync(path.join(tree, 'sub dir', 'file'), Buffer.from([0, 255, 10, 13, 200]));
  symlinkSync('sub dir', path.join(tree, 'link'));
  // What a hostile guest could name its files, to be taken for a command, a field or an inode's number.
  writeFileSync(path.join(tree, 'say "hi"'), 'quoted');
  writeFileSync(path.join(tree, '<2>'), 'numbered');
  symlinkSync('x\nLinks: 99 \nInode: 2   Type: regular', path.join(tree, 'lying'));
  await makeExt4(pristine, { sizeBytes: 16 * MiB, fromDirectory: tree });
});
beforeEach(() => copyFileSync(pristine, image));
afterEach(async () => {
  await checkExt4(image);
  expect(readdirSync(directory).sort()).toEqual(['pristine.img', 'tree', 'work.img']);
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('statInode', () => {
  it('tells type, mode, owner, links and size', async () => {
    expect(await statInode(image, '/')).toMatchObject({ number: 2, type: 'directory', links: 4 });
    expect(await statInode(image, '/sub dir/file')).toMatchObject({
      type: 'regular',
      mode: 0o644,
      uid: 0,
      gid: 0,
      links: 1,
      size: 5,
    });
    expect(await statInode(image, '/lying')).toMatchObject({ type: 'symlink', links: 1 });
    expect(await statInode(image, '/say "hi"')).toMatchObject({ type: 'regular', size: 6 });
    expect(await statInode(image, '/<2>')).toMatchObject({ type: 'regular', size: 8 });
  });

  it('is null for what is not there', async () => {
    expect(await statInode(image, '/no such')).toBeNull();
    expect(await statInode(image, '/no such/file')).toBeNull();
  });

  it('follows no symbolic link, at the end or on the way', async () => {
    expect(await statInode(image, '/link')).toMatchObject({ type: 'symlink' });
    await expect(statInode(image, '/link/file')).rejects.toMatchObject({
      code: 'preflight_failed',
      message: `${image}: /link in it is a symlink, not a directory`,
    });
  });

  it('refuses a name that would begin another command', async () => {
    await expect(statInode(image, '/x\nrm "/say"')).rejects.toMatchObject({ code: 'preflight_failed' });
    await expect(statInode(image, '/sub dir/../link')).rejects.toMatchObject({ code: 'internal' });
  });

  it('fails where debugfs does, though that exits 0', async () => {
    const none = path.join(directory, 'tree', 'say "hi"');
    await expect(statInode(none, '/')).rejects.toMatchObject({
      code: 'tool_failed',
      message: expect.stringMatching(/say "hi": debugfs failed with status \d+: .*while trying to open/u),
    });
  });

  it('fails for a name that the tools would cut at its question mark', async () => {
    await expect(statInode(path.join(directory, 'a?b.img'), '/')).rejects.toMatchObject({
      code: 'preflight_failed',
    });
    const odd = path.join(directory, 'tree', 'what? "a=b');
    mkdirSync(odd);
    const inside = path.join(odd, "-it's (a) test.img");
    copyFileSync(image, inside);
    expect(await statInode(inside, '/')).toMatchObject({ type: 'directory' });
    await writeInodeFile(inside, '/new', Buffer.from('x'), OURS);
    await checkExt4(inside);
    rmSync(odd, { recursive: true });
  });
});

describe('readInodeFile', () => {
  it('reads bytes as they are', async () => {
    const content = await readInodeFile(image, '/sub dir/file', { maxBytes: 5 });
    expect(content).toEqual(Buffer.from([0, 255, 10, 13, 200]));
  });

  it('refuses what is too large, a link, a directory, and nothing', async () => {
    const reading = { maxBytes: 4 };
    for (const name of ['/sub dir/file', '/link', '/sub dir', '/none']) {
      await expect(readInodeFile(image, name, reading)).rejects.toMatchObject({ code: 'preflight_failed' });
    }
  });
});

describe('writeInodeFile', () => {
  it('makes a file with its owner and mode', async () => {
    const content = Buffer.from([1, 0, 255, 10]);
    await writeInodeFile(image, '/sub dir/new "one"', content, OURS);
    expect(await statInode(image, '/sub dir/new "one"')).toMatchObject({
      type: 'regular',
      ...OURS,
      links: 1,
    });
    expect(await readInodeFile(image, '/sub dir/new "one"', { maxBytes: 100 })).toEqual(content);
    expect(await statInode(image, '/new "one"')).toBeNull();
  });

  it('replaces a file, not the other links to it', async () => {
    await run('debugfs', ['-w', '-R', 'ln "/sub dir/file" /other', image]);
    await run('debugfs', ['-w', '-R', 'set_inode_field /other links_count 2', image]);
    await writeInodeFile(image, '/other', Buffer.alloc(0), OURS);
    expect(await statInode(image, '/other')).toMatchObject({ size: 0, links: 1 });
    expect(await statInode(image, '/sub dir/file')).toMatchObject({ size: 5, links: 1 });
  });

  it('refuses to replace anything but a file', async () => {
    for (const name of ['/sub dir', '/link']) {
      await expect(writeInodeFile(image, name, Buffer.alloc(1), OURS)).rejects.toMatchObject({
        code: 'preflight_failed',
      });
    }
  });

  it('fails when the filesystem is full', async () => {
    await expect(writeInodeFile(image, '/big', Buffer.alloc(32 * MiB, 1), OURS)).rejects.toMatchObject({
      code: 'tool_failed',
      message: expect.stringContaining('Could not allocate block'),
    });
  });
});

describe('makeDirectory and setOwnership', () => {
  it('leave a directory a directory', async () => {
    await makeDirectory(image, '/sub dir/deeper', { mode: 0o1770, uid: 1, gid: 2 });
    expect(await statInode(image, '/sub dir/deeper')).toMatchObject({
      type: 'directory',
      mode: 0o1770,
      uid: 1,
      gid: 2,
    });
    await setOwnership(image, '/', { mode: 0o700, uid: 0, gid: 0 });
    expect(await statInode(image, '/')).toMatchObject({ type: 'directory', mode: 0o700 });
  });

  it('fail for what exists and for what is neither file nor directory', async () => {
    await expect(makeDirectory(image, '/sub dir', OURS)).rejects.toMatchObject({
      code: 'preflight_failed',
      message: `${image}: /sub dir in it exists: a directory`,
    });
    await expect(setOwnership(image, '/link', OURS)).rejects.toMatchObject({ code: 'internal' });
  });
});
