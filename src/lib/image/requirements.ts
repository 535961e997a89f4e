import { constants } from 'node:fs';
import { access, type lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BangerError, errnoOf, FaultList, messageOf } from '../errors.ts';
import { identifyDisk } from '../system/disk-format.ts';
import { identifyInitrd } from '../system/initrd-image.ts';
import { identifyKernel, type KernelImage } from '../system/kernel-image.ts';
import { oneLine } from '../text.ts';
import type { ArtifactKind, BootFiles } from './artifacts.ts';

export type KnownKernel = Exclude<KernelImage, { format: 'unknown' }>;

/** How the caller tells a user to give another file for an artifact: `--rootfs FILE`. */
export type MendOf = (artifact: ArtifactKind) => string;

/**
 * Looks into every file of a boot set and reports all that is wrong at once.
 * @param ownModules a managed image's: what is in them was looked at when they were published
 * @returns the kernel's format and version
 * @throws PreflightError listing each fault with what mends it
 */
export async function checkBootSet(
  subject: string,
  bootSet: BootFiles,
  mendOf: MendOf,
  ownModules: string | null = null,
): Promise<KnownKernel> {
  const faults = new FaultList();
  if (bootSet.rootfs !== null) await checkDisk(faults, 'rootfs', bootSet.rootfs, mendOf);
  const kernel = await checkKernel(faults, bootSet.kernel, mendOf);
  if (bootSet.initrd !== null) await checkInitrd(faults, bootSet.initrd, mendOf);
  if (bootSet.modules !== null) {
    const look = bootSet.modules === ownModules ? isModulesDirectory : checkModules;
    await look(faults, bootSet.modules, mendOf);
  }
  if (bootSet.workSeed !== null) await checkDisk(faults, 'workSeed', bootSet.workSeed, mendOf);
  faults.throwIfAny(subject);
  if (kernel === null) throw new Error('a kernel without a fault has a format');
  return kernel;
}

/** What is wrong with one file of an image, in words; null when nothing is. */
export async function artifactFault(artifact: ArtifactKind, path: string): Promise<string | null> {
  const faults = new FaultList();
  const noMend = (): string => '';
  if (artifact === 'kernel') await checkKernel(faults, path, noMend);
  else if (artifact === 'initrd') await checkInitrd(faults, path, noMend);
  else if (artifact === 'modules') await checkModules(faults, path, noMend);
  else await checkDisk(faults, artifact, path, noMend);
  return faults.faults[0]?.message ?? null;
}

const TITLES: Readonly<Record<ArtifactKind, string>> = {
  rootfs: 'root filesystem',
  kernel: 'kernel',
  initrd: 'initrd',
  modules: 'modules directory',
  workSeed: 'work seed',
};

/** Whether a path is a readable file of the wanted type; if not, the fault is added. Follows symbolic links. */
async function isUsable(
  faults: FaultList,
  artifact: ArtifactKind,
  path: string,
  mendOf: MendOf,
): Promise<boolean> {
  const fault = (what: string): false => {
    faults.add(`${TITLES[artifact]} ${oneLine(path)} ${what}`, mendOf(artifact));
    return false;
  };
  try {
    const found = await stat(path);
    if (artifact === 'modules' ? !found.isDirectory() : !found.isFile()) {
      return fault(
        artifact === 'modules' ? 'is not a directory' : `is ${typeName(found)}, not a regular file`,
      );
    }
    await access(path, artifact === 'modules' ? constants.R_OK | constants.X_OK : constants.R_OK);
    return true;
  } catch (error) {
    return fault(reasonOf(error));
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: 'cannot be read by this user',
  EPERM: 'cannot be read by this user',
  ELOOP: 'is a loop of symbolic links',
  ENAMETOOLONG: 'has too long a name',
};

/** Why the system refuses a file. Anything that is not the system's is thrown on. */
function reasonOf(error: unknown): string {
  const cause = error instanceof BangerError ? error.cause : error;
  const errno = errnoOf(cause);
  if (errno === undefined) throw error;
  return REASONS[errno] ?? `cannot be read: ${oneLine(messageOf(cause))}`;
}

/** What a look into a file says, or null when it cannot be read after all, which is a fault like any other. */
async function lookInto<T>(
  faults: FaultList,
  artifact: ArtifactKind,
  path: string,
  mendOf: MendOf,
  look: (path: string) => Promise<T>,
): Promise<T | null> {
  if (!(await isUsable(faults, artifact, path, mendOf))) return null;
  try {
    return await look(path);
  } catch (error) {
    faults.add(`${TITLES[artifact]} ${oneLine(path)} ${reasonOf(error)}`, mendOf(artifact));
    return null;
  }
}

function typeName(found: Awaited<ReturnType<typeof lstat>>): string {
  if (found.isDirectory()) return 'a directory';
  if (found.isFIFO()) return 'a FIFO';
  if (found.isSocket()) return 'a socket';
  if (found.isBlockDevice() || found.isCharacterDevice()) return 'a device';
  return 'something else';
}

async function checkDisk(
  faults: FaultList,
  artifact: 'rootfs' | 'workSeed',
  path: string,
  mendOf: MendOf,
): Promise<void> {
  const format = await lookInto(faults, artifact, path, mendOf, identifyDisk);
  if (format !== null && format.kind !== 'ext4') {
    faults.add(
      `${TITLES[artifact]} ${oneLine(path)} is ${format.description}, not an ext4 filesystem`,
      mendOf(artifact),
    );
  }
}

async function checkKernel(faults: FaultList, path: string, mendOf: MendOf): Promise<KnownKernel | null> {
  const kernel = await lookInto(faults, 'kernel', path, mendOf, identifyKernel);
  if (kernel === null || kernel.format !== 'unknown') return kernel;
  faults.add(
    `kernel ${oneLine(path)} is ${kernel.description}, not an ELF vmlinux, a bzImage or an arm64 Image`,
    mendOf('kernel'),
  );
  return null;
}

async function checkInitrd(faults: FaultList, path: string, mendOf: MendOf): Promise<void> {
  const initrd = await lookInto(faults, 'initrd', path, mendOf, identifyInitrd);
  if (initrd === null || initrd.format !== 'unknown') return;
  faults.add(
    `initrd ${oneLine(path)} is ${initrd.description}, not a cpio archive, plain or compressed as kernels unpack it`,
    mendOf('initrd'),
  );
}

function isModulesDirectory(faults: FaultList, path: string, mendOf: MendOf): Promise<boolean> {
  return isUsable(faults, 'modules', path, mendOf);
}

/** A tree of modules holds files, directories and links; anything else has no business there and may block a copy. */
async function checkModules(faults: FaultList, path: string, mendOf: MendOf): Promise<void> {
  if (!(await isModulesDirectory(faults, path, mendOf))) return;
  const pending = [path];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    try {
      for (const entry of await readdir(directory, { withFileTypes: true })) {
        const inside = join(directory, entry.name);
        if (entry.isDirectory()) pending.push(inside);
        else if (!entry.isFile() && !entry.isSymbolicLink()) {
          faults.add(`${oneLine(inside)} is neither a file, a directory nor a link`, mendOf('modules'));
          return;
        }
      }
    } catch (error) {
      faults.add(`modules directory ${oneLine(directory)} ${reasonOf(error)}`, mendOf('modules'));
      return;
    }
  }
}
