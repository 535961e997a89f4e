import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BangerError } from '../errors.ts';
import {
  complaints,
  type DebugfsOptions,
  edit,
  quote,
  requireSilence,
  runDebugfs,
  withScratch,
} from './debugfs-command.ts';

// Reads and edits an ext filesystem without mounting it (debugfs(8)). It does not replay a journal: see recoverExt4.

export type InodeType =
  | 'regular'
  | 'directory'
  | 'symlink'
  | 'character special'
  | 'block special'
  | 'FIFO'
  | 'socket'
  | 'bad type';

export interface Inode {
  number: number;
  type: InodeType;
  /** Permission, setuid, setgid and sticky bits (07777): no type bits. */
  mode: number;
  uid: number;
  gid: number;
  links: number;
  /** Bytes. */
  size: number;
}

export interface Ownership {
  /** 07777 at most. */
  mode: number;
  uid: number;
  gid: number;
}

/** Type bits of i_mode (Documentation/filesystems/ext4/inodes.rst): without them a mode would turn a directory into a file. */
const TYPE_BITS: Readonly<Partial<Record<InodeType, number>>> = { regular: 0x8000, directory: 0x4000 };

const NOT_FOUND = /: File not found by ext2_lookup\s*$/u;

/** `stat`, whose further lines hold text of the guest's own: only the beginning is read. */
const STAT =
  /^Inode: (?<number>\d+) +Type: (?<type>[A-Za-z ]+?) +Mode: +(?<mode>[0-7]+) +Flags: .*\n.*\nUser: +(?<uid>\d+) +Group: +(?<gid>\d+) .*?Size: (?<size>\d+)\n.*\nLinks: (?<links>\d+) /u;

function parseStat(image: string, name: string, text: string): Inode {
  const fields = STAT.exec(text)?.groups;
  if (!fields)
    throw new BangerError('tool_failed', `${image}: debugfs described ${name} in a way not understood`);
  const mode = Number.parseInt(fields.mode ?? '', 8);
  return {
    number: Number(fields.number),
    type: fields.type as InodeType,
    mode: mode & 0o7777,
    uid: Number(fields.uid),
    gid: Number(fields.gid),
    links: Number(fields.links),
    size: Number(fields.size),
  };
}

async function statOne(image: string, name: string, options: DebugfsOptions): Promise<Inode | null> {
  const result = await runDebugfs(image, ['-R', `stat ${quote(name)}`], options);
  if (result.exitCode === 0 && NOT_FOUND.test(complaints(result))) return null;
  requireSilence(image, result);
  return parseStat(image, name, result.stdout);
}

function plainPath(name: string): string {
  const parts = name.split('/').filter((part) => part !== '');
  if (!name.startsWith('/') || parts.some((part) => part === '.' || part === '..')) {
    throw new BangerError('internal', `not a plain absolute path: ${JSON.stringify(name)}`);
  }
  return `/${parts.join('/')}`;
}

/**
 * The inode at an absolute path, or null. No symbolic link is followed, at the end or on the way.
 * @throws BangerError `preflight_failed` when something on the way is not a directory; `tool_failed`.
 */
export async function statInode(
  image: string,
  name: string,
  options: DebugfsOptions = {},
): Promise<Inode | null> {
  const plain = plainPath(name);
  const parent = path.posix.dirname(plain);
  if (plain !== '/' && (await findDirectory(image, parent, options)) === null) return null;
  const inode = await statOne(image, plain, options);
  if (inode?.type === 'directory') options.directories?.set(plain, inode.number);
  return inode;
}

/** The inode number of a directory, or null when there is nothing. */
async function findDirectory(image: string, name: string, options: DebugfsOptions): Promise<number | null> {
  const known = options.directories?.get(name);
  if (known !== undefined) return known;
  const inode = await statInode(image, name, options);
  if (inode === null || inode.type === 'directory') return inode?.number ?? null;
  throw new BangerError('preflight_failed', `${image}: ${name} in it is a ${inode.type}, not a directory`);
}

/**
 * The bytes of a regular file.
 * @throws BangerError `preflight_failed` when it is no regular file or larger than `maxBytes`; `tool_failed`.
 */
export async function readInodeFile(
  image: string,
  name: string,
  options: DebugfsOptions & { maxBytes: number },
): Promise<Buffer> {
  const inode = await requireInode(image, name, options);
  if (inode.type !== 'regular' || inode.size > options.maxBytes) {
    const what = inode.type === 'regular' ? `${inode.size} bytes` : `a ${inode.type}`;
    throw new BangerError('preflight_failed', `${image}: ${name} in it is ${what}, which is not read`);
  }
  const content = await withScratch(image, (scratch) => dump(image, inode, scratch, options));
  if (content.length === inode.size) return content;
  throw new BangerError(
    'corrupt',
    `${image}: ${name} in it has ${content.length} of its ${inode.size} bytes`,
  );
}

async function dump(image: string, inode: Inode, scratch: string, options: DebugfsOptions): Promise<Buffer> {
  const copy = path.join(scratch, 'copy');
  requireSilence(image, await runDebugfs(image, ['-R', `dump <${inode.number}> ${quote(copy)}`], options));
  return readFile(copy);
}

async function requireInode(image: string, name: string, options: DebugfsOptions): Promise<Inode> {
  const inode = await statInode(image, name, options);
  if (inode === null) throw isMissing(image, name);
  return inode;
}

async function requireDirectory(image: string, name: string, options: DebugfsOptions): Promise<number> {
  const number = await findDirectory(image, name, options);
  if (number === null) throw isMissing(image, name);
  return number;
}

function isMissing(image: string, name: string): BangerError {
  return new BangerError('preflight_failed', `${image}: no ${name} in it`);
}

/** Commands that make an inode, named in debugfs's language, what it should be. */
function ownershipCommands(target: string, type: InodeType, { mode, uid, gid }: Ownership): string[] {
  const typeBits = TYPE_BITS[type];
  if (typeBits === undefined) throw new BangerError('internal', `the mode of a ${type} is not ours to set`);
  return [
    `set_inode_field ${target} mode 0${(typeBits | (mode & 0o7777)).toString(8)}`,
    `set_inode_field ${target} uid ${uid}`,
    `set_inode_field ${target} gid ${gid}`,
  ];
}

/** Reads back what an edit made; the way to it was walked before. */
async function confirm(
  image: string,
  name: string,
  type: InodeType,
  ownership: Ownership,
  options: DebugfsOptions,
): Promise<Inode> {
  const inode = await statOne(image, name, options);
  const fields = ['mode', 'uid', 'gid'] as const;
  if (inode?.type === type && fields.every((field) => inode[field] === ownership[field])) return inode;
  throw new BangerError('tool_failed', `${image}: debugfs did not make ${name} in it what it should be`);
}

/**
 * Sets the mode and the owner of a regular file or a directory, and reads them back.
 * @throws BangerError `tool_failed` when they did not become what was asked.
 */
export async function setOwnership(
  image: string,
  name: string,
  ownership: Ownership,
  options: DebugfsOptions = {},
): Promise<void> {
  const { number, type } = await requireInode(image, name, options);
  const commands = ownershipCommands(`<${number}>`, type, ownership);
  await withScratch(image, (scratch) => edit(image, scratch, commands, options));
  await confirm(image, name, type, ownership, options);
}

/**
 * Makes a directory in an existing one, and reads it back.
 * @throws BangerError `preflight_failed` when it exists; `tool_failed`.
 */
export async function makeDirectory(
  image: string,
  name: string,
  ownership: Ownership,
  options: DebugfsOptions = {},
): Promise<void> {
  const parent = await requireDirectory(image, path.posix.dirname(name), options);
  // Looked for first: a mkdir that fails for it has already taken an inode and counted a link.
  const old = await statOne(image, name, options);
  if (old !== null)
    throw new BangerError('preflight_failed', `${image}: ${name} in it exists: a ${old.type}`);
  const commands = [
    `cd <${parent}>`,
    `mkdir ${quote(path.posix.basename(name))}`,
    ...ownershipCommands(quote(name), 'directory', ownership),
  ];
  await withScratch(image, (scratch) => edit(image, scratch, commands, options));
  const { number } = await confirm(image, name, 'directory', ownership, options);
  options.directories?.set(name, number);
}

/**
 * Writes a regular file in an existing directory, in place of the regular file that has the name (whose other hard
 * links keep the old content; its extended attributes go), and reads it back.
 * @throws BangerError `preflight_failed` when the name is something else; `tool_failed`, as when the filesystem is full.
 */
export async function writeInodeFile(
  image: string,
  name: string,
  content: Buffer,
  ownership: Ownership,
  options: DebugfsOptions = {},
): Promise<void> {
  const parent = await requireDirectory(image, path.posix.dirname(name), options);
  const old = await statOne(image, name, options);
  if (old !== null && old.type !== 'regular') {
    throw new BangerError('preflight_failed', `${image}: ${name} in it is a ${old.type}, not a regular file`);
  }
  const base = quote(path.posix.basename(name));
  const written = await withScratch(image, async (scratch) => {
    const source = path.join(scratch, 'content');
    await writeFile(source, content);
    const commands = [
      // `write` puts no path, only a name, into the current directory, and takes no name that exists.
      `cd <${parent}>`,
      ...(old ? [`rm ${base}`] : []),
      `write ${quote(source)} ${base}`,
      ...ownershipCommands(quote(name), 'regular', ownership),
    ];
    await edit(image, scratch, commands, options);
    return dump(image, await confirm(image, name, 'regular', ownership, options), scratch, options);
  });
  if (!written.equals(content)) {
    throw new BangerError('tool_failed', `${image}: debugfs did not write ${name} in it as it should be`);
  }
}
