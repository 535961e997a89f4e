import { open, rm, stat, truncate } from 'node:fs/promises';
import path from 'node:path';
import { BangerError } from '../errors.ts';
import { rootOf } from '../ext4/children.ts';
import { withVolume } from '../ext4/volume.ts';
import { formatBytes, oneLine } from '../text.ts';
import { editExt4, notMade, type Ownership, ownershipCommands } from './debugfs.ts';
import { e2fsTarget } from './e2fs-target.ts';
import { lastLines, type ProcessResult, type RunOptions, run, toolFailed } from './process.ts';
import { readSuperblock } from './superblock.ts';

/** Something that runs a tool as process.run does: itself, or inside a sandbox where the guest's ids are mapped. */
export type RunTool = (file: string, args: readonly string[], options?: RunOptions) => Promise<ProcessResult>;

export interface Ext4Options {
  signal?: AbortSignal;
}

export interface MakeExt4Options extends Ext4Options {
  /** Of the file, which is sparse. */
  sizeBytes: number;
  /** How many files and directories it can hold; as many as usual for its size when absent. */
  inodes?: number;
  /** 16 bytes at most. */
  label?: string;
  uuid?: string;
  /** What the names of directories are hashed with, as a UUID; by chance when absent. */
  hashSeed?: string;
  /** Bytes; 4096 when absent. */
  blockSize?: number;
  /** The new filesystem's content: modes, owners, hard links, extended attributes as they are for `runTool`. */
  fromDirectory?: string;
  runTool?: RunTool;
}

export interface Repair {
  /** What e2fsck mended, line by line; empty when nothing was wrong. A journal that was replayed is nothing wrong. */
  repaired: readonly string[];
}

/** Bits of e2fsck's exit status (e2fsck(8)). */
const FSCK_FIXED = 1;
const FSCK_REBOOT = 2;
const FSCK_OPERATIONAL = 8;
/** From here on a status tells of the program's own end: FSCK_LIBRARY, or 128 + n by a signal. */
const FSCK_BEYOND = 128;

/** How many lines of what e2fsck found are of use. */
const MAX_FINDINGS = 100;

const SMALL_BYTES = 512 * 1024 * 1024;

/**
 * What each filesystem of ours has, whatever the host's mke2fs.conf and release would choose: newer defaults
 * (orphan_file, metadata_csum_seed) cannot be mounted by the older kernels that a guest may have.
 */
const FEATURES = [
  'none',
  'has_journal',
  'ext_attr',
  'resize_inode',
  'dir_index',
  'filetype',
  'extent',
  '64bit',
  'flex_bg',
  'sparse_super',
  'large_file',
  'huge_file',
  'dir_nlink',
  'extra_isize',
  'metadata_csum',
];

function requireSize(sizeBytes: number): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) {
    throw new BangerError('usage', `${sizeBytes} is not a size in bytes`);
  }
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

function mke2fsArgs(file: string, options: MakeExt4Options): string[] {
  const { sizeBytes, inodes, label, uuid, hashSeed, blockSize = 4096, fromDirectory } = options;
  const seeded = hashSeed === undefined ? '' : `,hash_seed=${hashSeed}`;
  return [
    '-q',
    // A file is no block device, and there is nobody to ask.
    '-F',
    ...['-t', 'ext4'],
    // mke2fs takes 1 KiB for a small filesystem, and a grown one would keep it.
    ...['-b', String(blockSize)],
    ...['-O', FEATURES.join(',')],
    ...['-I', '256'],
    // Many small files in a small root filesystem: mke2fs.conf's own ratios, pinned.
    ...(inodes === undefined ? ['-i', sizeBytes < SMALL_BYTES ? '4096' : '16384'] : ['-N', String(inodes)]),
    // Everything in a guest runs as root: a reserve for root would only be lost space.
    ...['-m', '0'],
    // Inode tables and journal need no zeros written: the file is made of holes. Else a clone would be 64 MiB larger,
    // or the guest's kernel would write them on its first boot.
    ...['-E', `discard,lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0${seeded}`],
    ...(label === undefined ? [] : ['-L', label]),
    ...(uuid === undefined ? [] : ['-U', uuid]),
    ...(fromDirectory === undefined ? [] : ['-d', path.resolve(fromDirectory)]),
    file,
  ];
}

/** The mode and owner of a directory as the tool sees them; mke2fs copies neither to the new root directory. */
async function ownershipOf(directory: string, runTool: RunTool, signal?: AbortSignal): Promise<Ownership> {
  const { stdout } = await runTool('stat', ['-c', '%a %u %g %F', '--', directory], withSignal(signal));
  const [mode, uid, gid, ...type] = stdout.trim().split(' ');
  // A symbolic link is not followed: in a guest's tree it could lead out of it.
  if (type.join(' ') !== 'directory') {
    throw new BangerError('preflight_failed', `${directory} is a ${type.join(' ')}, not a directory`);
  }
  return { mode: Number.parseInt(mode ?? '', 8), uid: Number(uid), gid: Number(gid) };
}

async function setRootOwnership(image: string, wanted: Ownership, options: Ext4Options): Promise<void> {
  const isSet = (): Promise<boolean> =>
    withVolume(image, (volume) => {
      const { mode, uid, gid } = rootOf(volume);
      return mode === wanted.mode && uid === wanted.uid && gid === wanted.gid;
    });
  if (await isSet()) return;
  await editExt4(image, () => ownershipCommands('/', 'directory', wanted), options);
  if (!(await isSet())) throw notMade(image, '/');
}

/**
 * Makes an ext4 filesystem in a new sparse file (mode 0600), which a failure removes again. Below 8 MiB it has no
 * journal.
 * @throws BangerError `usage` for a size or a label that cannot be; `preflight_failed` when the file exists or
 * `fromDirectory` is no directory; `tool_failed`, as when the content does not fit.
 */
export async function makeExt4(image: string, options: MakeExt4Options): Promise<void> {
  const { sizeBytes, label = '', fromDirectory, runTool = run, signal } = options;
  requireSize(sizeBytes);
  if (Buffer.byteLength(label) > 16) {
    throw new BangerError('usage', `the label ${JSON.stringify(label)} is longer than 16 bytes`);
  }
  const file = path.resolve(image);
  const ownership =
    fromDirectory === undefined ? undefined : await ownershipOf(path.resolve(fromDirectory), runTool, signal);
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.truncate(sizeBytes).finally(() => handle.close());
    await runTool('mke2fs', mke2fsArgs(file, options), withSignal(signal));
    if (ownership) await setRootOwnership(file, ownership, withSignal(signal));
    await confirmExt4(file, 'mke2fs', withSignal(signal));
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
}

/** Runs e2fsck and returns its status bits; a status that is none of them is the tool's own failure. */
async function e2fsck(
  image: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): Promise<ProcessResult> {
  // e2fsck would make room in memory for whatever a superblock claims.
  readSuperblock(image);
  const { cwd, file } = e2fsTarget(image);
  const result = await run('e2fsck', [...args, file], { cwd, okExit: 'any', ...withSignal(signal) });
  if (result.exitCode >= FSCK_BEYOND || result.exitCode === 127) throw toolFailed('e2fsck', result);
  return result;
}

/** What e2fsck found, without its list of passes. */
function findings(result: ProcessResult): string[] {
  return `${result.stdout}\n${result.stderr}`
    .split('\n')
    .filter(
      (line) =>
        !/^(Pass \d|e2fsck \d|\s*$)|: \d+\/\d+ files \(|: recovering journal$|\*{5} FILE SYSTEM WAS MODIFIED/u.test(
          line,
        ),
    );
}

function damaged(image: string, mode: string, result: ProcessResult): BangerError {
  const lines = lastLines(findings(result).join('\n'), 8).map((line) => `\n  ${line}`);
  return new BangerError('corrupt', `${image} is damaged: e2fsck ${mode} says${lines.join('')}`, {
    details: { path: image, status: result.exitCode },
  });
}

/**
 * Checks all of a filesystem without writing to it. One whose journal was not replayed is looked at as it lies.
 * @throws BangerError `corrupt` with e2fsck's last lines; `preflight_failed` when there is no ext4 file; `tool_failed`.
 */
export async function checkExt4(image: string, options: Ext4Options = {}): Promise<void> {
  const result = await e2fsck(image, ['-fn'], options.signal);
  if (result.exitCode !== 0) throw damaged(image, '-fn', result);
}

/**
 * What a check of all of a filesystem finds wrong with it, in words; null when nothing is.
 * @throws BangerError as checkExt4, but for `corrupt`
 */
export async function ext4Fault(image: string, options: Ext4Options = {}): Promise<string | null> {
  try {
    await checkExt4(image, options);
    return null;
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof BangerError) || error.code !== 'corrupt') throw error;
    return oneLine(error.message);
  }
}

/**
 * For what a tool wrote to and found nothing wrong with: e2fsck exits 0 though a write to the superblock failed
 * (e2fsprogs 1.47.0).
 * @throws BangerError `tool_failed` when it is not sound
 */
export async function confirmExt4(
  image: string,
  tool: 'mke2fs' | 'e2fsck',
  options: Ext4Options = {},
): Promise<void> {
  try {
    await checkExt4(image, options);
  } catch (error) {
    if (!(error instanceof BangerError) || error.code !== 'corrupt') throw error;
    throw new BangerError('tool_failed', `${tool} did not write all that it should: ${error.message}`, {
      hints: ['dmesg | tail'],
      details: error.details,
      cause: error,
    });
  }
}

/**
 * Replays the journal and mends what is safe to mend without asking, as a boot does.
 * @throws BangerError `corrupt` when that is not enough.
 */
export async function recoverExt4(image: string, options: Ext4Options = {}): Promise<Repair> {
  const result = await e2fsck(image, ['-f', '-p'], options.signal);
  if ((result.exitCode & ~(FSCK_FIXED | FSCK_REBOOT)) !== 0) throw damaged(image, '-fp', result);
  return { repaired: result.exitCode === 0 ? [] : lastLines(findings(result).join('\n'), MAX_FINDINGS) };
}

/**
 * Gives each directory of more than a block its index, and packs the others.
 * @throws BangerError `tool_failed` when there is no room for that, or anything else was to be done: nothing is mended in
 * silence
 */
export async function indexDirectories(image: string, options: Ext4Options = {}): Promise<void> {
  const result = await e2fsck(image, ['-f', '-y', '-D'], options.signal);
  const isOther = (result.exitCode & ~(FSCK_FIXED | FSCK_REBOOT)) !== 0;
  const found = lastLines(findings(result).join('\n'), 8);
  if (!isOther && found.length === 0) return;
  const said = found.map((line) => `\n  ${line}`).join('');
  throw new BangerError(
    'tool_failed',
    `${image}: its directories cannot be indexed: e2fsck -fyD says${said}`,
    {
      details: { path: image, status: result.exitCode },
    },
  );
}

/**
 * One pass of resize2fs, at most. From a filesystem of few block groups to one more than 1024 times its size it
 * breaks the filesystem ("Illegal doubly indirect block", 1.47.0): its resize inode reserves that much and no more.
 */
const MAX_GROWTH = 1024;

/**
 * Grows a filesystem and its file; the file's new part is a hole. One that fills its file already is left alone.
 * A failure of resize2fs leaves the file unfit for use.
 * @throws BangerError `usage` when it would shrink; `corrupt` when it is damaged, before anything is changed.
 */
export async function growExt4(image: string, sizeBytes: number, options: Ext4Options = {}): Promise<Repair> {
  const { signal } = options;
  requireSize(sizeBytes);
  const before = readSuperblock(image);
  const { size: fileBytes } = await stat(image);
  if (sizeBytes < fileBytes) {
    const sizes = `${formatBytes(fileBytes)} and cannot shrink to ${formatBytes(sizeBytes)}`;
    throw new BangerError('usage', `${image} is ${sizes}`, { details: { size_bytes: fileBytes } });
  }
  const blocks = Math.floor(sizeBytes / before.blockSize);
  if (blocks === before.blockCount) return { repaired: [] };
  // resize2fs insists on a check, and a damaged filesystem is better not moved.
  const repair = await recoverExt4(image, options);
  await truncate(image, sizeBytes);
  const { cwd, file } = e2fsTarget(image);
  for (let reached = before.blockCount; reached < blocks; ) {
    reached = Math.min(blocks, reached * MAX_GROWTH);
    await run('resize2fs', [file, String(reached)], { cwd, ...withSignal(signal) });
  }
  return repair;
}

/** Mending one thing can uncover another; what is not clean by then will not be. */
const MAX_REPAIRS = 4;

/**
 * Mends a filesystem, turns its free blocks into holes of the file, and checks it once more.
 * @throws BangerError `corrupt` when it is not clean after it; `tool_failed`.
 */
export async function repairAndPunch(image: string, options: Ext4Options = {}): Promise<Repair> {
  const repaired: string[] = [];
  for (let pass = 1; ; pass += 1) {
    // Not -p, under which e2fsck discards nothing; and a pass that mended something has discarded nothing either.
    const result = await e2fsck(image, ['-f', '-y', '-E', 'discard'], options.signal);
    if (result.exitCode === 0) {
      await confirmExt4(image, 'e2fsck', options);
      return { repaired };
    }
    if (result.exitCode >= FSCK_OPERATIONAL || pass === MAX_REPAIRS) throw damaged(image, '-fy', result);
    repaired.push(...lastLines(findings(result).join('\n'), MAX_FINDINGS));
  }
}
