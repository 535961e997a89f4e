import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BangerError, FaultList, PreflightError } from '../errors.ts';
import { bootSetOf, describeClone } from '../image/artifacts.ts';
import { checkBootSet } from '../image/requirements.ts';
import { checkRoom } from '../image/room.ts';
import { makeSound, tellRepair } from '../image/sound-copy.ts';
import type { ImageRow } from '../store/schema.ts';
import { cloneFile } from '../system/clone.ts';
import { growExt4 } from '../system/ext4.ts';
import { formatBytes } from '../text.ts';
import { VM_FILES } from './disks.ts';

/** How large disks are to be, in bytes; null: as large as the image's. */
export interface DiskSizes {
  rootfs: number | null;
  work: number | null;
}

/** Beside the disks: their directory, and what a run leaves in it. */
const MADE = { bytes: 0, inodes: 2 };

/**
 * Checks what a VM is to be made from, before anything is.
 * @throws PreflightError listing each fault; `usage` for a size that would shrink a disk
 */
export async function checkVmSources(image: ImageRow, sizes: DiskSizes, vmsDir: string): Promise<void> {
  const { rootfs, workSeed, ...boot } = bootSetOf(image);
  // Modules are in the disk; a directory of them is what images are built from.
  await checkBootSet(`image ${image.name}`, { rootfs, workSeed, ...boot, modules: null }, () => mend(image));
  if (sizes.work !== null && workSeed === null) {
    throw new PreflightError(`image ${image.name}`, [
      {
        message: 'it has no work seed, which could be grown',
        mend: 'leave out --work-size, or build an image that has one',
      },
    ]);
  }
  await assertGrows('root filesystem', rootfs, sizes.rootfs);
  if (workSeed !== null) await assertGrows('work seed', workSeed, sizes.work);
  const faults = new FaultList();
  const copies = [rootfs, workSeed].filter((path) => path !== null);
  await checkRoom(faults, vmsDir, { copies, more: MADE });
  faults.throwIfAny(`disks from image ${image.name}`);
}

function mend({ name, managed }: ImageRow): string {
  return managed ? 'banger check' : `banger image register ${name} --rootfs FILE --kernel FILE`;
}

async function assertGrows(what: string, path: string, wanted: number | null): Promise<void> {
  const { size } = await stat(path);
  if (wanted === null || wanted >= size) return;
  const sizes = `${formatBytes(size)} and cannot shrink to ${formatBytes(wanted)}`;
  throw new BangerError('usage', `the image's ${what} is ${sizes}`, { details: { size_bytes: size } });
}

export interface CloneGround {
  /** Exists. */
  directory: string;
  signal: AbortSignal;
  note: (message: string) => void;
}

/** Copies an image's root filesystem for a VM. */
export async function cloneRootfs(image: ImageRow, ground: CloneGround): Promise<void> {
  await cloneDisk(
    image,
    { source: image.rootfs_path, file: VM_FILES.rootfs, what: 'root filesystem' },
    ground,
  );
}

/** Copies an image's work seed, which it has. */
export async function cloneWorkSeed(image: ImageRow, source: string, ground: CloneGround): Promise<void> {
  await cloneDisk(image, { source, file: VM_FILES.work, what: 'work seed' }, ground);
}

async function cloneDisk(
  image: ImageRow,
  { source, file, what }: { source: string; file: string; what: string },
  { directory, signal, note }: CloneGround,
): Promise<void> {
  const copy = join(directory, file);
  note(describeClone(await cloneFile(source, copy, signal)));
  tellRepair(await makeSound({ copy, source, wasChecked: image.managed === 1, signal }), what, note);
}

/** Grows a VM's disk. */
export async function growDisk(
  file: keyof typeof VM_FILES,
  bytes: number,
  { directory, signal }: CloneGround,
): Promise<void> {
  await growExt4(join(directory, VM_FILES[file]), bytes, { signal });
}
