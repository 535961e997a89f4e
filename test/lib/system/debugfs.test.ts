import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { editExt4, ownershipCommands, quote } from '../../../src/lib/system/debugfs.ts';
import { checkExt4, makeExt4 } from '../../../src/lib/system/ext4.ts';
import { readGuest, statGuest } from '../../support/guest-files.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'debugfs-'));
const pristine = path.join(directory, 'pristine.img');
const image = path.join(directory, 'work.img');
const MiB = 1024 * 1024;

beforeAll(() => makeExt4(pristine, { sizeBytes: 16 * MiB }));
beforeEach(() => copyFileSync(pristine, image));
afterAll(() => rmSync(directory, { recursive: true }));

/** Nothing of an edit stays beside the image. */
function expectNothingLeft(): void {
  expect(readdirSync(directory).sort()).toEqual(['pristine.img', 'work.img']);
}

/** Commands that write a file of this content under a name in the root directory. */
function writing(name: string, content: string | Buffer): (scratch: string) => Promise<string[]> {
  return async (scratch) => {
    const source = path.join(scratch, 'content');
    await writeFile(source, content);
    return [`write ${quote(source)} ${quote(name)}`];
  };
}

describe('editExt4', () => {
  it('runs commands in their order, with files that they read', async () => {
    const write = writing('say "hi"', 'quoted');
    await editExt4(image, async (scratch) => [
      'mkdir /deep',
      'cd /deep',
      ...(await write(scratch)),
      ...ownershipCommands('/deep', 'directory', { mode: 0o1770, uid: 1, gid: 70_000 }),
      ...ownershipCommands(quote('say "hi"'), 'file', { mode: 0o640, uid: 70_000, gid: 5 }),
    ]);
    expect(await statGuest(image, '/deep')).toMatchObject({
      ...{ type: 'directory', mode: 0o1770 },
      ...{ uid: 1, gid: 70_000 },
    });
    expect(await statGuest(image, '/deep/say ""hi""')).toMatchObject({
      ...{ type: 'regular', mode: 0o640, links: 1 },
      ...{ uid: 70_000, gid: 5 },
    });
    expect(await readGuest(image, '/deep/say ""hi""')).toBe('quoted');
    await checkExt4(image);
    expectNothingLeft();
  });

  it('fails where debugfs does, though that exits 0', async () => {
    await expect(editExt4(image, () => ['rmdir /none', 'mkdir /after'])).rejects.toMatchObject({
      code: 'tool_failed',
      message: expect.stringMatching(/work\.img: debugfs failed.*File not found/su),
    });
    expectNothingLeft();
  });

  it('fails when the filesystem is full', async () => {
    await expect(editExt4(image, writing('big', Buffer.alloc(32 * MiB, 1)))).rejects.toMatchObject({
      code: 'tool_failed',
      message: expect.stringContaining('Could not allocate block'),
    });
    expectNothingLeft();
  });

  it('fails for what is no filesystem', async () => {
    const none = path.join(directory, 'none');
    writeFileSync(none, 'text');
    await expect(editExt4(none, () => ['mkdir /x'])).rejects.toMatchObject({
      code: 'tool_failed',
      message: expect.stringContaining('while trying to open'),
    });
    rmSync(none);
    expectNothingLeft();
  });

  it('edits an image whatever its directory is called, and none with a question mark in its own name', async () => {
    await expect(editExt4(path.join(directory, 'a?b.img'), () => [])).rejects.toMatchObject({
      code: 'preflight_failed',
    });
    const odd = path.join(directory, 'what? "a=b');
    mkdirSync(odd);
    const inside = path.join(odd, "-it's (a) test.img");
    copyFileSync(image, inside);
    await editExt4(inside, writing('new', 'x'));
    await checkExt4(inside);
    rmSync(odd, { recursive: true });
  });

  it('ends when it is no longer wanted', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(editExt4(image, () => ['mkdir /x'], { signal })).rejects.toThrow('enough');
    expectNothingLeft();
  });
});

describe('quote', () => {
  it('refuses a word that would begin another command', () => {
    expect(() => quote('x\nrm "/say"')).toThrow(expect.objectContaining({ code: 'preflight_failed' }));
  });
});
