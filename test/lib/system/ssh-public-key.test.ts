import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  addAuthorizedKey,
  fingerprintOf,
  formatPublicKey,
  parsePublicKey,
  type SshPublicKey,
} from '../../../src/lib/system/ssh-public-key.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'ssh-public-key-'));
afterAll(() => rmSync(directory, { recursive: true }));

function generate(...type: string[]): string {
  const file = path.join(mkdtempSync(path.join(directory, 'key-')), 'key');
  execFileSync('ssh-keygen', ['-q', '-N', '', '-C', 'a comment', '-f', file, '-t', ...type]);
  return `${file}.pub`;
}

function parse(line: string): SshPublicKey {
  const key = parsePublicKey(line);
  if (key === null) throw new Error(`no key: ${line}`);
  return key;
}

const ED25519 = readFileSync(generate('ed25519'), 'utf8').trim();
const KEY = parse(ED25519);
const OTHER = readFileSync(generate('ecdsa'), 'utf8').trim();
const PLAIN = `${KEY.type} ${KEY.blob}`;

describe('a public key', () => {
  it.each([[['ed25519']], [['ecdsa']], [['ecdsa', '-b', '521']], [['rsa', '-b', '2048']]])(
    'has the fingerprint that ssh-keygen prints: %j',
    (type) => {
      const file = generate(...type);
      const key = parse(readFileSync(file, 'utf8'));
      const told = execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' });
      expect(told.split(' ')[1]).toBe(fingerprintOf(key));
      expect(key.comment).toBe('a comment');
      expect(`${formatPublicKey(key)}\n`).toBe(readFileSync(file, 'utf8'));
    },
  );

  it.each([
    ['with a byte order mark, comments and CRLF', `\ufeff# mine\r\n\r\n${ED25519}\r\n`],
    ['with a tab', ED25519.replace(' ', '\t')],
    ['without a comment', PLAIN],
  ])('is read %s', (_what, text) => {
    expect(parsePublicKey(text)).toMatchObject({ type: KEY.type, blob: KEY.blob });
  });

  it('has a comment that is safe to print', () => {
    expect(parse(`${PLAIN} \u001b[31mred\u0007 x`).comment).toBe('red x');
  });

  it.each([
    ['nothing', ''],
    ['two keys', `${ED25519}\n${OTHER}\n`],
    [
      'a private key',
      '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk=\n-----END OPENSSH PRIVATE KEY-----\n',
    ],
    ['a type that the blob is not of', `ssh-rsa ${KEY.blob}`],
    ['a blob cut off', `${KEY.type} ${KEY.blob.slice(0, 8)}`],
    ['a blob that is no base64', `${KEY.type} ${KEY.blob}!`],
    ['a certificate', ED25519.replace(KEY.type, 'ssh-ed25519-cert-v01@openssh.com')],
    ['a DSA key', `ssh-dss ${Buffer.from('\0\0\0\x07ssh-dss1234').toString('base64')}`],
    ['options before it', `no-pty ${ED25519}`],
  ])('is not %s', (_what, text) => {
    expect(parsePublicKey(text)).toBeNull();
  });
});

describe('addAuthorizedKey', () => {
  const add = (content: string): string => addAuthorizedKey(Buffer.from(content), KEY).toString();

  it.each([
    ['an empty file', '', `${ED25519}\n`],
    ['other keys', `${OTHER}\n`, `${OTHER}\n${ED25519}\n`],
    ['other keys without a last newline', OTHER, `${OTHER}\n${ED25519}\n`],
    ['the key in a comment', `# ${ED25519}\n`, `# ${ED25519}\n${ED25519}\n`],
    [
      'the key as a certificate authority',
      `cert-authority ${PLAIN}\n`,
      `cert-authority ${PLAIN}\n${ED25519}\n`,
    ],
    [
      'the key within an option of another',
      `environment="K=${PLAIN}" ${OTHER}\n`,
      `environment="K=${PLAIN}" ${OTHER}\n${ED25519}\n`,
    ],
  ])('adds it to %s', (_what, before, after) => {
    expect(add(before)).toBe(after);
    expect(add(after)).toBe(after);
  });

  it.each([
    ['itself', `${ED25519}\n`],
    ['another comment', `${PLAIN} somebody@else\n`],
    ['no comment and no newline', PLAIN],
    ['CRLF', `${OTHER}\r\n${PLAIN}\r\n`],
    ['blanks around', `  ${KEY.type}\t ${KEY.blob}  \n`],
    ['options, with blanks and quotes in them', `command="say \\"a b\\"",no-pty ${PLAIN}\n`],
  ])('leaves it where it is with %s', (_what, content) => {
    expect(add(content)).toBe(content);
  });

  it('keeps bytes that are no text', () => {
    const before = Buffer.concat([Buffer.from([0xff, 0, 0xc3]), Buffer.from(`\n${OTHER}`)]);
    const after = addAuthorizedKey(before, KEY);
    expect(after.subarray(0, before.length)).toEqual(before);
    expect(after.subarray(before.length).toString()).toBe(`\n${ED25519}\n`);
  });

  it('only ever appends, and once, whatever was there', { timeout: 10_000 }, () => {
    const line = fc.oneof(
      fc.constantFrom(ED25519, OTHER, PLAIN, `# ${PLAIN}`, 'cert-authority', '"', '\\"', ' ', '\r'),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(line, fc.constantFrom('\n', '', ' '))), (lines) => {
        const before = Buffer.from(lines.flat().join(''));
        const after = addAuthorizedKey(before, KEY);
        expect(after.subarray(0, before.length)).toEqual(before);
        expect(addAuthorizedKey(after, KEY)).toEqual(after);
      }),
    );
    const long = Buffer.from(`a"${'\\"'.repeat(500_000)}`);
    expect(addAuthorizedKey(long, KEY).length).toBe(long.length + 1 + ED25519.length + 1);
  });
});
