import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { BangerError, errnoOf, type Fault, FaultList, PreflightError } from '../errors.ts';
import { footprintOf } from '../system/footprint.ts';
import { findStaticBusybox } from '../system/static-busybox.ts';
import { readSuperblock } from '../system/superblock.ts';
import { formatBytes, oneLine, shellWord } from '../text.ts';
import { type BootFiles, pathsOf } from './artifacts.ts';
import type { BuildStep } from './build-step.ts';
import { checkBootSet, type KnownKernel, type MendOf } from './requirements.ts';
import { checkRoom } from './room.ts';
import { interpreterOf } from './script-interpreter.ts';

const MIB = 2 ** 20;

export interface BuildInputs {
  bootSet: BootFiles;
  /** The base's, where it is managed. */
  ownModules: string | null;
  steps: readonly BuildStep[];
  size: number | undefined;
  mendOf: MendOf;
  /** What keeps the builder from working. */
  builderFaults: readonly Fault[];
  /** Whether the root filesystem is written once more. */
  isRepacked: boolean;
  /** Where the artifacts are to be. */
  imagesDir: string;
}

/** Beside the copies: their directory, the work seed, the packages' digest. */
const MADE = { bytes: 0, inodes: 3 };

/**
 * Everything a build needs, looked at in one pass before anything is made: the base's files, the host files of its
 * steps, the size, the space for the copies, and what the builder is made of.
 * @throws PreflightError listing all faults; `usage` for a size that would shrink the base
 */
export async function checkBuild(
  subject: string,
  { bootSet, ownModules, steps, size, mendOf, builderFaults, isRepacked, imagesDir }: BuildInputs,
): Promise<{ kernel: KnownKernel; busybox: string }> {
  const faults = new FaultList();
  let kernel: KnownKernel | undefined;
  try {
    kernel = await checkBootSet(subject, bootSet, mendOf, ownModules);
    const anew = isRepacked && bootSet.rootfs !== null ? await repackedBytes(bootSet.rootfs) : 0;
    const more = { ...MADE, bytes: MADE.bytes + anew };
    await checkRoom(faults, imagesDir, {
      // Of a managed image's own modules a second name does.
      copies: pathsOf(bootSet).filter((path) => path !== ownModules),
      more,
    });
  } catch (error) {
    if (!(error instanceof PreflightError)) throw error;
    for (const { message, mend } of error.faults) faults.add(message, mend);
  }
  for (const { message, mend } of builderFaults) faults.add(message, mend);
  const busybox = await findStaticBusybox().catch((error: unknown) => {
    if (!(error instanceof PreflightError)) throw error;
    for (const { message, mend } of error.faults) faults.add(message, mend);
    return '';
  });
  for (const step of steps) await checkStepSource(faults, step);
  faults.throwIfAny(subject);
  if (kernel === undefined) throw new Error('a boot set without a fault has a kernel');
  if (size !== undefined && bootSet.rootfs !== null) await assertGrows(bootSet.rootfs, size);
  return { kernel, busybox };
}

/** What a base takes that is written anew beside its copy, unless steps remove much of it: neither holes nor free blocks. */
async function repackedBytes(rootfs: string): Promise<number> {
  const { bytes } = await footprintOf(rootfs);
  const { sizeBytes, freeBytes } = readSuperblock(rootfs);
  return Math.min(bytes, sizeBytes - freeBytes);
}

async function checkStepSource(faults: FaultList, step: BuildStep): Promise<void> {
  if (step.kind !== 'script' && step.kind !== 'copy') return;
  const path = step.kind === 'script' ? step.path : step.source;
  const what = step.kind === 'script' ? 'script' : 'file to copy';
  const mend = `check the path: ls -ld ${shellWord(path)}`;
  try {
    const found = await stat(path);
    if (!(found.isFile() || (step.kind === 'copy' && found.isDirectory()))) {
      faults.add(
        `${what} ${oneLine(path)} is not a regular file${step.kind === 'copy' ? ' or directory' : ''}`,
        mend,
      );
      return;
    }
    await access(path, found.isDirectory() ? constants.R_OK | constants.X_OK : constants.R_OK);
    // What may be opened need not be readable: /proc/self/mem, a file on a failed disk.
    if (step.kind === 'script') interpreterOf(path);
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    faults.add(`${what} ${oneLine(path)} ${whyUnreadable(code)}`, mend);
  }
}

function whyUnreadable(code: string): string {
  if (code === 'EACCES') return 'cannot be read by this user';
  return code === 'EIO' ? 'cannot be read (EIO)' : `is not there (${code})`;
}

async function assertGrows(rootfs: string, size: number): Promise<void> {
  const { size: present } = await stat(rootfs);
  if (size >= present) return;
  throw new BangerError(
    'usage',
    `the base is ${formatBytes(present)} and only grows; ${formatBytes(size)} is smaller`,
    {
      hints: [`ask for ${Math.ceil(present / MIB)}M or more, or leave the size out`],
    },
  );
}
