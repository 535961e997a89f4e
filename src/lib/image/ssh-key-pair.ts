import { linkSync } from 'node:fs';
import { chmod, lstat, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BangerError, errnoOf, messageOf, PreflightError } from '../errors.ts';
import { syncDirectory, syncFile } from '../system/durable.ts';
import { makePrivateDirectory } from '../system/private-directory.ts';
import { lastLines } from '../system/process.ts';
import { openRegular } from '../system/regular-file.ts';
import { derivePublicKey, generateKeyPair } from '../system/ssh-keygen.ts';
import {
  fingerprintOf,
  formatPublicKey,
  isSameKey,
  parsePublicKey,
  type SshPublicKey,
} from '../system/ssh-public-key.ts';

export interface KeyPair {
  /** One line, without its newline: type, base64, comment. */
  publicKey: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  fingerprint: string;
}

export interface KeyPairOptions {
  signal?: AbortSignal;
}

/** Many times the longest RSA key. */
const MAX_PUBLIC_KEY_BYTES = 64 * 1024;
/** Says whose key it is; no user and no host, since it ends up in images that are passed on. */
const COMMENT = 'banger';
/** Each turn either ends or makes something that is there for the next one. */
const MAX_TURNS = 4;

function fault(message: string, mend: string, cause?: unknown): PreflightError {
  const error = new PreflightError('SSH key', [{ message, mend }]);
  if (cause !== undefined) error.cause = cause;
  return error;
}

/** An argument as a POSIX shell takes it. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/u.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function deriveCommand(privateKey: string): string {
  return `ssh-keygen -y -f ${shellWord(privateKey)} > ${shellWord(`${privateKey}.pub`)}`;
}

async function exists(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw fault(`${file}: ${messageOf(error)}`, `ls -ld ${shellWord(path.dirname(file))}`, error);
  }
}

async function readPublicKey(privateKey: string): Promise<SshPublicKey | null> {
  const publicKey = `${privateKey}.pub`;
  if (!(await exists(publicKey))) return null;
  let text: string;
  try {
    const file = openRegular(publicKey);
    try {
      text = file.readAt(0, MAX_PUBLIC_KEY_BYTES).toString('utf8');
    } finally {
      file.close();
    }
  } catch (error) {
    throw fault(messageOf(error), deriveCommand(privateKey), error);
  }
  const key = parsePublicKey(text);
  if (key === null) {
    throw fault(`${publicKey} does not hold one public key of OpenSSH format`, deriveCommand(privateKey));
  }
  return key;
}

/** The private key's own public key, or why it cannot be told. */
async function derive(
  privateKey: string,
  options: KeyPairOptions,
): Promise<{ key: SshPublicKey } | { reason: string; mend: string }> {
  try {
    // ssh-keygen would wait for the writer of a FIFO.
    openRegular(privateKey).close();
  } catch (error) {
    return { reason: messageOf(error), mend: `ls -lL ${shellWord(privateKey)}` };
  }
  const result = await derivePublicKey(privateKey, options);
  const key = result.exitCode === 0 ? parsePublicKey(result.stdout) : null;
  if (key) return { key };
  if (/incorrect passphrase/u.test(result.stderr)) {
    return {
      reason: `${privateKey} needs a passphrase, and its public key ${privateKey}.pub is missing`,
      mend: deriveCommand(privateKey),
    };
  }
  if (/UNPROTECTED PRIVATE KEY FILE/u.test(result.stderr)) {
    return { reason: `${privateKey} can be read by others`, mend: `chmod 600 ${shellWord(privateKey)}` };
  }
  const said = lastLines(result.stderr, 1).join('');
  return { reason: `${privateKey} is no usable private key: ${said}`, mend: deriveCommand(privateKey) };
}

/** link(2): whole or not at all, and never in place of what another process put there first. */
function publish(aside: string, name: string): void {
  syncFile(aside);
  try {
    linkSync(aside, name);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return;
    throw fault(`${name}: ${messageOf(error)}`, `ls -ld ${shellWord(path.dirname(name))}`, error);
  }
  syncDirectory(path.dirname(name));
}

/** A directory beside the key, in which something is made before it gets its name. */
async function withAside<T>(privateKey: string, use: (file: string) => Promise<T>): Promise<T> {
  let directory: string;
  try {
    makePrivateDirectory(path.dirname(privateKey));
    directory = await mkdtemp(`${privateKey}.new-`);
  } catch (error) {
    throw fault(`${privateKey}: ${messageOf(error)}`, `ls -ld ${shellWord(path.dirname(privateKey))}`, error);
  }
  try {
    return await use(path.join(directory, 'key'));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function publishPublicKey(privateKey: string, key: SshPublicKey): Promise<void> {
  await withAside(privateKey, async (aside) => {
    await writeFile(aside, `${formatPublicKey(key)}\n`);
    await chmod(aside, 0o644);
    publish(aside, `${privateKey}.pub`);
  });
}

/** Publishes the private key alone: whoever finds one without its `.pub` derives it, so all end with the same pair. */
async function publishNewKey(privateKey: string, options: KeyPairOptions): Promise<void> {
  await withAside(privateKey, async (aside) => {
    await generateKeyPair(aside, COMMENT, options);
    publish(aside, privateKey);
  });
}

/** The pair as it stands, or null after a step towards it. */
async function advance(privateKey: string, options: KeyPairOptions): Promise<SshPublicKey | null> {
  const publicKey = await readPublicKey(privateKey);
  if (!(await exists(privateKey))) {
    // The private part may be in an agent or on a token.
    if (publicKey === null) await publishNewKey(privateKey, options);
    return publicKey;
  }
  const derived = await derive(privateKey, options);
  if (publicKey === null) {
    if ('reason' in derived) throw fault(derived.reason, derived.mend);
    await publishPublicKey(privateKey, derived.key);
    return null;
  }
  // Where it cannot be told (a passphrase), the .pub is believed.
  if ('key' in derived && !isSameKey(derived.key, publicKey)) {
    const message = `${privateKey}.pub is not the public key of ${privateKey}: nobody could log in`;
    throw fault(message, deriveCommand(privateKey));
  }
  return publicKey;
}

/**
 * The key that guests are made to know. On first use an ed25519 pair without a passphrase is made (private key 0600,
 * public 0644, their directory 0700); any number of processes doing so at once end with the same pair. A missing `.pub` is
 * derived; a `.pub` alone is enough.
 * @param keyPath The private key; its `.pub` is understood too.
 * @throws PreflightError for keys that cannot be read, do not match, or need a passphrase and have no `.pub`.
 */
export async function ensureKeyPair(keyPath: string, options: KeyPairOptions = {}): Promise<KeyPair> {
  const privateKey = path.resolve(keyPath).replace(/\.pub$/u, '');
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    options.signal?.throwIfAborted();
    const key = await advance(privateKey, options);
    if (key) return { publicKey: formatPublicKey(key), fingerprint: fingerprintOf(key) };
  }
  throw new BangerError('conflict', `${privateKey}: the SSH key was removed again while it was made`);
}

/** The public key that guests would be made to know, a line; null where it is not made, or not derived, yet. */
export async function presentKey(keyPath: string): Promise<string | null> {
  const key = await readPublicKey(path.resolve(keyPath).replace(/\.pub$/u, ''));
  return key && formatPublicKey(key);
}
