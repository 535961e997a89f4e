import { statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import type { ImageRow } from '../store/schema.ts';
import { type CloneMethod, cloneFile, cloneTree, linkTree } from '../system/clone.ts';

/** The files an image boots from; null where it has none of a kind. */
export interface BootSet {
  rootfs: string;
  kernel: string;
  initrd: string | null;
  modules: string | null;
  workSeed: string | null;
}

/** The same of an image that is to be made; its root filesystem may come from nothing. */
export type BootFiles = Omit<BootSet, 'rootfs'> & { rootfs: string | null };

export type ArtifactKind = keyof BootSet;

export function bootSetOf(image: ImageRow): BootSet {
  return {
    rootfs: image.rootfs_path,
    kernel: image.kernel_path,
    initrd: image.initrd_path,
    modules: image.modules_dir,
    workSeed: image.work_seed_path,
  };
}

/** The files and the directory that a boot set has. */
export function pathsOf(bootSet: BootFiles): string[] {
  return Object.values(bootSet).filter((path) => path !== null);
}

/** The columns of an image row that name the files of a boot set placed in `directory`. */
export function artifactColumns(
  directory: string,
  has: { initrd: boolean; modules: boolean; workSeed: boolean },
): Pick<ImageRow, 'rootfs_path' | 'kernel_path' | 'initrd_path' | 'modules_dir' | 'work_seed_path'> {
  return {
    rootfs_path: join(directory, ARTIFACT_FILES.rootfs),
    kernel_path: join(directory, ARTIFACT_FILES.kernel),
    initrd_path: has.initrd ? join(directory, ARTIFACT_FILES.initrd) : null,
    modules_dir: has.modules ? join(directory, ARTIFACT_FILES.modules) : null,
    work_seed_path: has.workSeed ? join(directory, ARTIFACT_FILES.workSeed) : null,
  };
}

/**
 * Copies kernel, initrd and modules into a stage directory under the names a managed image gives them.
 * @param ownModules a managed image's, to which nobody writes: of those a second name does
 * @returns whether the modules are second names
 */
export async function copyBootArtifacts(
  bootSet: Pick<BootSet, 'kernel' | 'initrd' | 'modules'>,
  stageDir: string,
  signal: AbortSignal,
  ownModules: string | null = null,
): Promise<boolean> {
  const { kernel, initrd, modules } = bootSet;
  await cloneFile(kernel, join(stageDir, ARTIFACT_FILES.kernel), signal);
  if (initrd !== null) await cloneFile(initrd, join(stageDir, ARTIFACT_FILES.initrd), signal);
  if (modules === null) return false;
  const target = join(stageDir, ARTIFACT_FILES.modules);
  if (modules === ownModules && (await linkTree(modules, target, signal))) return true;
  await cloneTree(modules, target, signal);
  return false;
}

/**
 * Whether there is nothing under a name: not where something cannot be looked at. A name too long for the filesystem
 * can be nobody's.
 */
export function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '');
  }
}

/** How a copy is told to the user. */
export function describeClone(method: CloneMethod): string {
  return method === 'reflink' ? 'cloned (extents shared)' : 'copied (this filesystem cannot share extents)';
}
