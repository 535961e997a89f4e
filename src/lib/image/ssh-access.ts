import { BangerError, PreflightError } from '../errors.ts';
import {
  type Inode,
  makeDirectory,
  type Ownership,
  readInodeFile,
  setOwnership,
  statInode,
  writeInodeFile,
} from '../system/debugfs.ts';
import type { DebugfsOptions } from '../system/debugfs-command.ts';
import { checkExt4, recoverExt4 } from '../system/ext4.ts';
import { addAuthorizedKey, parsePublicKey, type SshPublicKey } from '../system/ssh-public-key.ts';

export { ensureKeyPair, type KeyPair, presentKey } from './ssh-key-pair.ts';

export interface SeedOptions {
  signal?: AbortSignal;
}

const SSH_DIRECTORY = '/.ssh';
const AUTHORIZED_KEYS = '/.ssh/authorized_keys';
/** Thousands of keys; a file that is larger is something else. */
const MAX_AUTHORIZED_KEYS_BYTES = 1024 * 1024;

/** What sshd demands with StrictModes (sshd_config(5)): nobody but root may write, nobody else need read. */
const PRIVATE_DIRECTORY: Ownership = { mode: 0o700, uid: 0, gid: 0 };
const PRIVATE_FILE: Ownership = { mode: 0o600, uid: 0, gid: 0 };
/** Modes that the work seed's root, the guest's /root, may keep. */
const ROOT_MODES = [0o700, 0o755];

function isOwned(inode: Inode, { mode, uid, gid }: Ownership): boolean {
  return inode.mode === mode && inode.uid === uid && inode.gid === gid;
}

/** Where in a guest the work seed's files are. */
function guestPath(name: string): string {
  return `/root${name}`;
}

function refuse(workSeed: string, name: string, found: string, wanted: string): PreflightError {
  return new PreflightError(`seed SSH access in ${workSeed}`, [
    {
      message: `${name} is ${found}, not ${wanted}`,
      mend: `in the image that it comes from, make ${guestPath(name)} ${wanted} of root's own or remove it`,
    },
  ]);
}

const NAMED_TYPES: Readonly<Partial<Record<Inode['type'], string>>> = {
  regular: 'a regular file',
  directory: 'a directory',
  symlink: 'a symbolic link',
};

function nameType({ type }: Inode): string {
  return NAMED_TYPES[type] ?? `a special file (${type})`;
}

async function prepareRoot(workSeed: string, options: DebugfsOptions): Promise<void> {
  const root = await statInode(workSeed, '/', options);
  if (root?.type !== 'directory') {
    throw new BangerError('corrupt', `${workSeed}: its root is not a directory`);
  }
  const mode = ROOT_MODES.includes(root.mode) ? root.mode : 0o700;
  const wanted = { mode, uid: 0, gid: 0 };
  if (!isOwned(root, wanted)) await setOwnership(workSeed, '/', wanted, options);
}

async function prepareDirectory(workSeed: string, options: DebugfsOptions): Promise<void> {
  const directory = await statInode(workSeed, SSH_DIRECTORY, options);
  if (directory === null) {
    await makeDirectory(workSeed, SSH_DIRECTORY, PRIVATE_DIRECTORY, options);
    return;
  }
  // Through a symbolic link the keys would be wherever the guest says.
  if (directory.type !== 'directory')
    throw refuse(workSeed, SSH_DIRECTORY, nameType(directory), 'a directory');
  if (!isOwned(directory, PRIVATE_DIRECTORY)) {
    await setOwnership(workSeed, SSH_DIRECTORY, PRIVATE_DIRECTORY, options);
  }
}

async function prepareKeys(workSeed: string, key: SshPublicKey, options: DebugfsOptions): Promise<void> {
  const file = await statInode(workSeed, AUTHORIZED_KEYS, options);
  if (file !== null && file.type !== 'regular') {
    throw refuse(workSeed, AUTHORIZED_KEYS, nameType(file), 'a regular file');
  }
  if (file !== null && file.size > MAX_AUTHORIZED_KEYS_BYTES) {
    throw refuse(workSeed, AUTHORIZED_KEYS, `${file.size} bytes long`, 'a file of 1 MiB at most');
  }
  const reading = { ...options, maxBytes: MAX_AUTHORIZED_KEYS_BYTES };
  const before = file === null ? Buffer.alloc(0) : await readInodeFile(workSeed, AUTHORIZED_KEYS, reading);
  const after = addAuthorizedKey(before, key);
  // Another hard link would let whoever owns it write here: written anew, the file is ours alone.
  if (file === null || file.links !== 1 || !after.equals(before)) {
    await writeInodeFile(workSeed, AUTHORIZED_KEYS, after, PRIVATE_FILE, options);
  } else if (!isOwned(file, PRIVATE_FILE)) {
    await setOwnership(workSeed, AUTHORIZED_KEYS, PRIVATE_FILE, options);
  }
}

/**
 * Lets the holder of a key into the guests that get this work seed: puts the key into its `/.ssh/authorized_keys`, once,
 * the keys that are there kept, with owner and modes as sshd demands; works on the image without mounting it. What it
 * wrote is read back and the filesystem checked.
 * @param publicKey One line as in a `.pub` file.
 * @throws PreflightError when the key is none, or when `/.ssh` or the file is a symbolic link, a directory and so on;
 * BangerError `corrupt` when the filesystem is damaged, `tool_failed` when it is full.
 */
export async function seedAuthorizedKey(
  workSeed: string,
  publicKey: string,
  options: SeedOptions = {},
): Promise<void> {
  const key = parsePublicKey(publicKey);
  if (key === null) {
    throw new PreflightError(`seed SSH access in ${workSeed}`, [
      { message: 'the public key is not a line of OpenSSH format', mend: 'ssh-keygen -t ed25519' },
    ]);
  }
  // debugfs looks past a journal that was not replayed, whose writes would later undo ours.
  await recoverExt4(workSeed, options);
  const lookups = { ...options, directories: new Map<string, number>() };
  await prepareRoot(workSeed, lookups);
  await prepareDirectory(workSeed, lookups);
  await prepareKeys(workSeed, key, lookups);
  await checkExt4(workSeed, options);
}
