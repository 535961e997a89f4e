import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { PreflightError } from '../errors.ts';
import { rootOf } from '../ext4/children.ts';
import { readContent } from '../ext4/content.ts';
import type { Inode } from '../ext4/inode.ts';
import { lookup } from '../ext4/lookup.ts';
import { type Volume, withVolume } from '../ext4/volume.ts';
import { editExt4, notMade, type Ownership, ownershipCommands, quote } from '../system/debugfs.ts';
import { checkExt4 } from '../system/ext4.ts';
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

const NAMED_TYPES: Readonly<Record<Inode['type'], string>> = {
  file: 'a regular file',
  directory: 'a directory',
  symlink: 'a symbolic link',
  fifo: 'a FIFO',
  socket: 'a socket',
  char: 'a character device',
  block: 'a block device',
  unknown: 'of no type that there is',
};

/** What sshd looks at in a work seed, as it is. */
interface Found {
  root: Inode;
  /** Null when there is none; never of another type than it should be, and so is the file. */
  directory: Inode | null;
  file: Inode | null;
  keys: Buffer;
}

/** Through a symbolic link the keys would be wherever the guest says: no link is followed. */
function find(volume: Volume, workSeed: string, limit: number): Found {
  const look = (name: string, type: 'directory' | 'file'): Inode | null => {
    const inode = lookup(volume, name, { follow: false });
    if (inode === null || inode.type === type) return inode;
    throw refuse(workSeed, name, NAMED_TYPES[inode.type], NAMED_TYPES[type]);
  };
  const root = rootOf(volume);
  const directory = look(SSH_DIRECTORY, 'directory');
  const file = directory && look(AUTHORIZED_KEYS, 'file');
  if (file !== null && file.size > limit) {
    throw refuse(workSeed, AUTHORIZED_KEYS, `${file.size} bytes long`, 'a file of 1 MiB at most');
  }
  return { root, directory, file, keys: file ? readContent(volume, file, file.size) : Buffer.alloc(0) };
}

/** What it should be with a key added. */
interface Wanted {
  root: Ownership;
  keys: Buffer;
}

function wantedOf({ root, keys }: Found, key: SshPublicKey): Wanted {
  const mode = ROOT_MODES.includes(root.mode) ? root.mode : 0o700;
  return { root: { mode, uid: 0, gid: 0 }, keys: addAuthorizedKey(keys, key) };
}

/** Another hard link would let whoever owns it write here: written anew, the file is root's alone. */
function isWritten({ file, keys }: Found, wanted: Wanted): boolean {
  return file !== null && file.links === 1 && keys.equals(wanted.keys);
}

/** Commands of debugfs that make of what was found what is wanted; the new file's content lies at `source`. */
function commandsFor(found: Found, wanted: Wanted, source: string): string[] {
  const { root, directory, file } = found;
  const written = isWritten(found, wanted);
  return [
    ...(isOwned(root, wanted.root) ? [] : ownershipCommands('/', 'directory', wanted.root)),
    ...(directory ? [] : [`mkdir ${SSH_DIRECTORY}`]),
    ...(directory && isOwned(directory, PRIVATE_DIRECTORY)
      ? []
      : ownershipCommands(SSH_DIRECTORY, 'directory', PRIVATE_DIRECTORY)),
    ...(file && !written ? [`rm ${AUTHORIZED_KEYS}`] : []),
    // It puts no path, only a name, into the current directory, and takes no name that exists.
    ...(written ? [] : [`cd ${SSH_DIRECTORY}`, `write ${quote(source)} ${basename(AUTHORIZED_KEYS)}`]),
    ...(file && written && isOwned(file, PRIVATE_FILE)
      ? []
      : ownershipCommands(AUTHORIZED_KEYS, 'file', PRIVATE_FILE)),
  ];
}

function isSeeded(found: Found, wanted: Wanted): boolean {
  const { root, directory, file } = found;
  return (
    isOwned(root, wanted.root) &&
    directory !== null &&
    isOwned(directory, PRIVATE_DIRECTORY) &&
    file !== null &&
    isOwned(file, PRIVATE_FILE) &&
    isWritten(found, wanted)
  );
}

/**
 * Lets the holder of a key into the guests that get this work seed: puts the key into its `/.ssh/authorized_keys`, once,
 * the keys that are there kept, with owner and modes as sshd demands; works on the image without mounting it. What it
 * wrote is read back and the filesystem checked.
 * @param publicKey One line as in a `.pub` file.
 * @throws PreflightError when the key is none, or when `/.ssh` or the file is a symbolic link, a directory and so on;
 * BangerError `preflight_failed` when its journal is still to be replayed, `corrupt` when the filesystem is damaged,
 * `tool_failed` when it is full.
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
  // Which refuses one whose journal was not replayed: that would later undo what debugfs writes.
  const read = (limit: number): Promise<Found> =>
    withVolume(workSeed, (volume) => find(volume, workSeed, limit));
  const found = await read(MAX_AUTHORIZED_KEYS_BYTES);
  const wanted = wantedOf(found, key);
  if (!isSeeded(found, wanted)) {
    const write = async (scratch: string): Promise<string[]> => {
      const source = join(scratch, 'keys');
      await writeFile(source, wanted.keys);
      return commandsFor(found, wanted, source);
    };
    await editExt4(workSeed, write, options);
    const made = await read(wanted.keys.length);
    if (!isSeeded(made, wanted)) throw notMade(workSeed, AUTHORIZED_KEYS);
  }
  await checkExt4(workSeed, options);
}
