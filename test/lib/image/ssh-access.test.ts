import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureKeyPair, seedAuthorizedKey } from '../../../src/lib/image/ssh-access.ts';
import { checkExt4, makeExt4 } from '../../../src/lib/system/ext4.ts';
import { run } from '../../../src/lib/system/process.ts';
import { statGuest } from '../../support/guest-files.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'ssh-access-'));
const pristine = path.join(directory, 'pristine.img');
const workSeed = path.join(directory, 'work-seed.ext4');
const MiB = 1024 * 1024;
const OTHER = 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 other@host';
let publicKey = '';

async function debugfs(...commands: string[]): Promise<void> {
  const script = path.join(directory, 'script');
  writeFileSync(script, commands.map((command) => `${command}\n`).join(''));
  await run('debugfs', ['-w', '-f', script, workSeed]);
  rmSync(script);
}

/** Puts an authorized_keys with this content into the work seed. */
async function seedByHand(content: string | Buffer): Promise<void> {
  const source = path.join(directory, 'source');
  writeFileSync(source, content);
  await debugfs('mkdir /.ssh', 'cd /.ssh', `write ${source} authorized_keys`);
  rmSync(source);
}

function keys(): string {
  const path = process.env.PATH?.concat(':/usr/sbin:/sbin');
  const reading = ['-R', 'cat /.ssh/authorized_keys', workSeed];
  return execFileSync('debugfs', reading, { encoding: 'latin1', stdio: 'pipe', env: { PATH: path } });
}

/** What sshd demands of the files, whatever they were before. */
async function expectSeeded(): Promise<void> {
  const root = { uid: 0, gid: 0 };
  const home = await statGuest(workSeed, '/');
  expect(home).toMatchObject({ type: 'directory', ...root });
  expect([0o700, 0o755]).toContain(home?.mode);
  expect(await statGuest(workSeed, '/.ssh')).toMatchObject({ type: 'directory', mode: 0o700, ...root });
  expect(await statGuest(workSeed, '/.ssh/authorized_keys')).toMatchObject({
    type: 'regular',
    mode: 0o600,
    links: 1,
    ...root,
  });
}

beforeAll(async () => {
  publicKey = (await ensureKeyPair(path.join(directory, 'keys', 'id'))).publicKey;
  rmSync(path.join(directory, 'keys'), { recursive: true });
  await makeExt4(pristine, { sizeBytes: 16 * MiB });
});
beforeEach(() => copyFileSync(pristine, workSeed));
afterEach(async () => {
  await checkExt4(workSeed);
  expect(readdirSync(directory).sort()).toEqual(['pristine.img', 'work-seed.ext4']);
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('a work seed', () => {
  it('without /.ssh gets it, with the key', async () => {
    await seedAuthorizedKey(workSeed, publicKey);
    await expectSeeded();
    expect(keys()).toBe(`${publicKey}\n`);
  });

  it('gets the key once, and is not written a second time', async () => {
    await seedAuthorizedKey(workSeed, publicKey);
    const before = await statGuest(workSeed, '/.ssh/authorized_keys');
    await seedAuthorizedKey(workSeed, publicKey.replace(/ banger$/u, ' another comment'));
    expect(keys()).toBe(`${publicKey}\n`);
    expect(await statGuest(workSeed, '/.ssh/authorized_keys')).toEqual(before);
  });

  it('keeps other keys, also after a missing last newline, byte for byte', async () => {
    const before = `# \xe9 latin1\r\n${OTHER}`;
    await seedByHand(Buffer.from(before, 'latin1'));
    await seedAuthorizedKey(workSeed, publicKey);
    await expectSeeded();
    expect(keys()).toBe(`${before}\n${publicKey}\n`);
  });

  it('has owners and modes put right, with the type bits', async () => {
    await seedByHand(`${publicKey}\n`);
    for (const name of ['/', '/.ssh', '/.ssh/authorized_keys']) {
      await debugfs(`set_inode_field ${name} uid 1000`, `set_inode_field ${name} gid 70000`);
    }
    await debugfs(
      'set_inode_field / mode 041777',
      'set_inode_field /.ssh mode 042775',
      'set_inode_field /.ssh/authorized_keys mode 0100666',
    );
    await seedAuthorizedKey(workSeed, publicKey);
    await expectSeeded();
    expect(await statGuest(workSeed, '/')).toMatchObject({ mode: 0o700 });
    expect(keys()).toBe(`${publicKey}\n`);
  });

  it.each([0o700, 0o755])('keeps its root at mode %o', async (mode) => {
    await debugfs(`set_inode_field / mode 04${mode.toString(8).padStart(4, '0')}`);
    await seedAuthorizedKey(workSeed, publicKey);
    expect(await statGuest(workSeed, '/')).toMatchObject({ mode, uid: 0, gid: 0 });
  });

  it('has an authorized_keys of its own, not a hard link that another user owns', async () => {
    await seedByHand(`${publicKey}\n`);
    await debugfs('ln /.ssh/authorized_keys /other', 'set_inode_field /other links_count 2');
    await seedAuthorizedKey(workSeed, publicKey);
    await expectSeeded();
    expect(await statGuest(workSeed, '/other')).toMatchObject({ links: 1, mode: 0o644 });
  });

  it('is accepted by ssh-keygen, which finds the key in it', async () => {
    await seedAuthorizedKey(workSeed, publicKey);
    const file = path.join(directory, 'authorized_keys');
    writeFileSync(file, keys());
    expect(execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' })).toMatch(/^256 SHA256:/u);
    rmSync(file);
  });
});

describe('a work seed is refused, and left as it was,', () => {
  it.each<[string, string[], RegExp]>([
    [
      'whose /.ssh is a link',
      ['mkdir /etc', 'symlink /.ssh /etc'],
      /\/.ssh is a symbolic link, not a directory/u,
    ],
    ['whose /.ssh is a link to nothing', ['symlink /.ssh nowhere'], /is a symbolic link/u],
    ['whose /.ssh is a FIFO', ['mknod .ssh p'], /is a FIFO/u],
    [
      'whose authorized_keys is a link',
      ['mkdir /.ssh', 'symlink /.ssh/authorized_keys /lost+found/x'],
      /authorized_keys is a symbolic link, not a regular file/u,
    ],
    [
      'whose authorized_keys is a directory',
      ['mkdir /.ssh', 'mkdir /.ssh/authorized_keys'],
      /is a directory, not/u,
    ],
  ])('%s', async (_what, commands, message) => {
    await debugfs(...commands);
    const error: unknown = await seedAuthorizedKey(workSeed, publicKey).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'preflight_failed',
      message: expect.stringMatching(message),
      hints: [expect.stringMatching(/^in the image that it comes from, make \/root\/.ssh/u)],
    });
    expect(String(error)).toContain(workSeed);
  });

  it('whose /.ssh is a file', async () => {
    writeFileSync(path.join(directory, 'source'), 'x');
    await debugfs(`write ${path.join(directory, 'source')} .ssh`);
    rmSync(path.join(directory, 'source'));
    await expect(seedAuthorizedKey(workSeed, publicKey)).rejects.toThrow(
      /is a regular file, not a directory/u,
    );
  });

  it('whose authorized_keys is huge', async () => {
    await seedByHand(Buffer.alloc(MiB + 1, '#'));
    await expect(seedAuthorizedKey(workSeed, publicKey)).rejects.toThrow(/1048577 bytes long/u);
  });

  it('whose journal was not replayed: that would undo the key later', async () => {
    await debugfs('jo', 'jw -b 3000 /dev/zero', 'jc');
    await expect(seedAuthorizedKey(workSeed, publicKey)).rejects.toMatchObject({ code: 'preflight_failed' });
    await run('e2fsck', ['-f', '-p', workSeed]);
  });

  it('for a key that is none, without printing it', async () => {
    const before = readFileSync(workSeed);
    const error: unknown = await seedAuthorizedKey(workSeed, 'SECRET\nx').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'preflight_failed' });
    expect(String(error)).not.toContain('SECRET');
    expect(readFileSync(workSeed).equals(before)).toBe(true);
  });
});

describe('seeding fails', () => {
  it('when the filesystem is full', async () => {
    writeFileSync(path.join(directory, 'source'), Buffer.alloc(20 * MiB, 1));
    await debugfs(`write ${path.join(directory, 'source')} filler`);
    rmSync(path.join(directory, 'source'));
    await run('e2fsck', ['-f', '-y', workSeed], { okExit: 'any' });
    await expect(seedAuthorizedKey(workSeed, publicKey)).rejects.toMatchObject({
      code: 'tool_failed',
      message: expect.stringContaining('Could not allocate block'),
    });
    await run('e2fsck', ['-f', '-y', workSeed], { okExit: 'any' });
  });

  it('when the filesystem is damaged', async () => {
    await debugfs('zap_block -f / 0');
    await expect(seedAuthorizedKey(workSeed, publicKey)).rejects.toMatchObject({ code: 'corrupt' });
    copyFileSync(pristine, workSeed);
  });

  // Stands in for a debugfs that claims success: the real one is asked to do something else first.
  it.each<[string, string, string]>([
    ['writes nothing', 'case " $* " in *" -w "*) exit 0;; esac; exec REAL "$@"', 'tool_failed'],
    [
      'damages the filesystem',
      'REAL "$@"; case " $* " in *" -w "*) for i; do :; done; REAL -w -R "sif <11> links_count 9" "$i" 2>/dev/null;; esac',
      'corrupt',
    ],
  ])('when debugfs %s', async (_what, script, code) => {
    const tools = path.join(directory, 'tools');
    const real = execFileSync('sh', ['-c', 'PATH=$PATH:/usr/sbin:/sbin command -v debugfs'], {
      encoding: 'utf8',
    });
    mkdirSync(tools);
    writeFileSync(path.join(tools, 'debugfs'), `#!/bin/sh\n${script.replaceAll('REAL', real.trim())}\n`);
    chmodSync(path.join(tools, 'debugfs'), 0o755);
    const before = process.env.PATH;
    process.env.PATH = `${tools}:${before}`;
    try {
      await expect(seedAuthorizedKey(workSeed, publicKey)).rejects.toMatchObject({ code });
    } finally {
      process.env.PATH = before;
      rmSync(tools, { recursive: true });
      copyFileSync(pristine, workSeed);
    }
  });

  it('when that is no longer wanted', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(seedAuthorizedKey(workSeed, publicKey, { signal })).rejects.toThrow('enough');
  });
});
