import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureKeyPair, type KeyPair } from '../../../src/lib/image/ssh-access.ts';

let directory = '';
let key = '';
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'ssh-key-pair-'));
  key = path.join(directory, 'config', 'keys', 'id_ed25519');
});
afterEach(() => rmSync(directory, { recursive: true }));

function sshKeygen(...args: string[]): string {
  return execFileSync('ssh-keygen', args, { encoding: 'utf8' });
}

/** Verifies that private key, public key, file and what was returned are all one pair, and nothing lies beside it. */
function expectOnePair(pair: KeyPair): void {
  expect(`${pair.publicKey}\n`).toBe(readFileSync(`${key}.pub`, 'utf8'));
  expect(sshKeygen('-y', '-f', key).trim()).toBe(pair.publicKey);
  expect(sshKeygen('-l', '-f', `${key}.pub`).split(' ')[1]).toBe(pair.fingerprint);
  expect(readdirSync(path.dirname(key)).sort()).toEqual(['id_ed25519', 'id_ed25519.pub']);
  expect(statSync(key).mode & 0o7777).toBe(0o600);
  expect(statSync(`${key}.pub`).mode & 0o7777).toBe(0o644);
}

function makePair(passphrase = ''): void {
  mkdirSync(path.dirname(key), { recursive: true });
  sshKeygen('-q', '-t', 'ed25519', '-N', passphrase, '-C', 'mine', '-f', key);
}

describe('on first use', () => {
  it('a pair is made in a directory of its own, and kept', async () => {
    const pair = await ensureKeyPair(key);
    expect(pair.publicKey).toMatch(/^ssh-ed25519 [A-Za-z0-9+/]+ banger$/u);
    expect(statSync(path.dirname(key)).mode & 0o7777).toBe(0o700);
    expectOnePair(pair);
    expect(await ensureKeyPair(key)).toEqual(pair);
    expect(await ensureKeyPair(`${key}.pub`)).toEqual(pair);
  });

  it('is made private whatever the umask is', async () => {
    const before = process.umask(0);
    try {
      expectOnePair(await ensureKeyPair(key));
    } finally {
      process.umask(before);
    }
  });

  it('processes at once end with one pair', async () => {
    const module = path.resolve(import.meta.dirname, '../../../src/lib/image/ssh-access.ts');
    const program = `import { ensureKeyPair } from ${JSON.stringify(module)};
      await new Promise((go) => process.stdin.once('data', go));
      process.stdout.write(JSON.stringify(await ensureKeyPair(${JSON.stringify(key)})));
      process.exit(0);`;
    const children = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    const outputs = children.map(async (child) => {
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      await once(child, 'close');
      return JSON.parse(text) as KeyPair;
    });
    for (const child of children) child.stdin.write('go');
    const pairs = await Promise.all(outputs);
    const [first] = pairs;
    if (!first) throw new Error('no process');
    for (const pair of pairs) expect(pair).toEqual(first);
    expectOnePair(first);
  });

  it('a directory that cannot be made is a fault', async () => {
    writeFileSync(path.join(directory, 'config'), '');
    await expect(ensureKeyPair(key)).rejects.toMatchObject({ code: 'preflight_failed' });
  });
});

describe('a key that is there', () => {
  it('is taken as it is', async () => {
    makePair();
    const pair = await ensureKeyPair(key);
    expect(pair.publicKey).toMatch(/ mine$/u);
    expectOnePair(pair);
  });

  it('has its public part derived when that is missing', async () => {
    makePair();
    const before = readFileSync(`${key}.pub`, 'utf8');
    rmSync(`${key}.pub`);
    expectOnePair(await ensureKeyPair(key));
    expect(readFileSync(`${key}.pub`, 'utf8')).toBe(before);
  });

  it('may have a passphrase while its public part is there, and is a fault without it', async () => {
    makePair('secret');
    const { fingerprint } = await ensureKeyPair(key);
    expect(sshKeygen('-l', '-f', `${key}.pub`)).toContain(fingerprint);
    rmSync(`${key}.pub`);
    await expect(ensureKeyPair(key)).rejects.toMatchObject({
      code: 'preflight_failed',
      message: expect.stringContaining(`${key} needs a passphrase`),
      hints: [`ssh-keygen -y -f ${key} > ${key}.pub`],
    });
    expect(existsSync(`${key}.pub`)).toBe(false);
  });

  it('may be a public part alone, as with an agent', async () => {
    makePair();
    rmSync(key);
    expect((await ensureKeyPair(key)).publicKey).toMatch(/ mine$/u);
    expect(existsSync(key)).toBe(false);
  });

  it('whose parts do not match is a fault, since nobody could log in', async () => {
    makePair();
    renameSync(`${key}.pub`, `${directory}/old.pub`);
    rmSync(key);
    makePair();
    renameSync(`${directory}/old.pub`, `${key}.pub`);
    await expect(ensureKeyPair(key)).rejects.toMatchObject({
      code: 'preflight_failed',
      message: expect.stringContaining('is not the public key of'),
    });
  });

  it('that others can read, and has no public part, is a fault with its mend', async () => {
    makePair();
    rmSync(`${key}.pub`);
    chmodSync(key, 0o644);
    await expect(ensureKeyPair(key)).rejects.toMatchObject({ hints: [`chmod 600 ${key}`] });
  });

  it.each<[string, () => void]>([
    ['a public part that is none', () => writeFileSync(`${key}.pub`, 'hello\n')],
    ['a private key in the public part', () => writeFileSync(`${key}.pub`, readFileSync(key))],
    ['a FIFO in place of the public part', () => execFileSync('mkfifo', [`${key}.pub`])],
    ['a directory in place of the public part', () => mkdirSync(`${key}.pub`)],
    ['a FIFO in place of the private part', () => execFileSync('sh', ['-c', 'rm "$0"; mkfifo "$0"', key])],
    ['a private part that is a link to nothing', () => execFileSync('ln', ['-sf', 'nowhere', key])],
    ['a private part that is none', () => writeFileSync(key, 'hello\n')],
  ])('is a fault, at once: %s', { timeout: 5000 }, async (_what, prepare) => {
    makePair();
    const secret = readFileSync(key, 'utf8').split('\n')[2] ?? '';
    rmSync(`${key}.pub`);
    prepare();
    const error: unknown = await ensureKeyPair(key).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'preflight_failed' });
    expect(String(error)).not.toContain(secret);
  });

  it('with a quote in its path has a mend that can be pasted', async () => {
    key = path.join(directory, "it's mine", 'id_ed25519');
    makePair('secret');
    rmSync(`${key}.pub`);
    const error: unknown = await ensureKeyPair(key).catch((reason: unknown) => reason);
    const [mend] = (error as { hints: string[] }).hints;
    execFileSync('sh', ['-c', (mend ?? '').replace('-y', '-y -P secret')]);
    expect((await ensureKeyPair(key)).fingerprint).toMatch(/^SHA256:/u);
  });
});
