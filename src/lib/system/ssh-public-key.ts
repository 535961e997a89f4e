import { createHash } from 'node:crypto';
import { oneLine } from '../text.ts';

/** One line of a `.pub` file (sshd(8), AUTHORIZED_KEYS FILE FORMAT; RFC 4253 section 6.6). */
export interface SshPublicKey {
  type: string;
  /** Base64, as the line has it. */
  blob: string;
  comment: string;
}

/** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `sk-ssh-ed25519@openssh.com` …; certificates are no keys, and sshd takes no DSA. */
const KEY_TYPE = /^(?!ssh-dss$)(?!.*-cert-)(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+$/u;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/u;

/** Whether a blob is of the type: it begins with the type's own name, after its length in four bytes. */
function isKey(type: string | undefined, blob: string | undefined): boolean {
  if (type === undefined || blob === undefined || !KEY_TYPE.test(type) || !BASE64.test(blob)) return false;
  const bytes = Buffer.from(blob, 'base64');
  if (bytes.length <= 4 + type.length || bytes.readUInt32BE(0) !== type.length) return false;
  return bytes.toString('latin1', 4, 4 + type.length) === type;
}

/** The key of a `.pub` file, or null when it does not hold exactly one. Comment lines and a byte order mark are passed over. */
export function parsePublicKey(text: string): SshPublicKey | null {
  const lines = text
    .replace(/^\ufeff/u, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const [type, blob, ...comment] = (lines[0] ?? '').split(/[ \t]+/u);
  if (lines.length !== 1 || type === undefined || blob === undefined || !isKey(type, blob)) return null;
  return { type, blob, comment: oneLine(comment.join(' ')).trim() };
}

export function formatPublicKey(key: SshPublicKey): string {
  return `${key.type} ${key.blob}${key.comment === '' ? '' : ` ${key.comment}`}`;
}

/** As `ssh-keygen -lf` prints it: `SHA256:` and the blob's SHA-256 in base64 without padding. */
export function fingerprintOf(key: SshPublicKey): string {
  const digest = createHash('sha256').update(Buffer.from(key.blob, 'base64')).digest('base64');
  return `SHA256:${digest.replace(/=+$/u, '')}`;
}

export function isSameKey(one: SshPublicKey, other: SshPublicKey): boolean {
  return one.type === other.type && Buffer.from(one.blob, 'base64').equals(Buffer.from(other.blob, 'base64'));
}

/** Far more than the longest key and its options; what is longer is no key, and not worth parsing. */
const MAX_LINE = 64 * 1024;

/** The words of a line, a quoted part being of one word with what it touches (`command="a b"`). */
function words(line: string): string[] {
  return line.match(/(?:"(?:\\"|[^"])*"?|[^ \t"])+/gu) ?? [];
}

/** The key of a line of authorized_keys and the options before it; null for comments, blanks and what sshd would skip. */
function parseAuthorization(line: string): { key: SshPublicKey; options: string } | null {
  if (line.length > MAX_LINE || /^\s*(?:#|$)/u.test(line)) return null;
  const parts = words(line.trim());
  for (const at of [0, 1]) {
    const [type, blob] = parts.slice(at);
    if (type !== undefined && blob !== undefined && isKey(type, blob)) {
      return { key: { type, blob, comment: '' }, options: at === 0 ? '' : (parts[0] ?? '') };
    }
  }
  return null;
}

/**
 * The content of an authorized_keys file with the key in it, each byte that was there kept. A line that has the key
 * already counts whatever its comment, and whatever its options: a restriction that somebody put on this very key is not
 * undone by a second line. As a certificate authority a key opens nothing by itself.
 */
export function addAuthorizedKey(content: Buffer, key: SshPublicKey): Buffer {
  // latin1, so that a comment in any encoding comes out as it went in.
  const text = content.toString('latin1');
  const known = text.split('\n').some((line) => {
    const found = parseAuthorization(line);
    return (
      found !== null && isSameKey(found.key, key) && !/(?:^|,)cert-authority(?:,|$)/iu.test(found.options)
    );
  });
  if (known) return content;
  const gap = text === '' || text.endsWith('\n') ? '' : '\n';
  return Buffer.concat([content, Buffer.from(`${gap}${formatPublicKey(key)}\n`)]);
}
