import { resolve } from 'node:path';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { identityOf } from '../system/file-identity.ts';
import { statIfPossible } from '../system/filesystem.ts';
import { type BootFiles, bootSetOf, pathsOf } from './artifacts.ts';
import { type DigestGround, digestPath } from './digest-path.ts';
import { findImage } from './find.ts';
import { digestOf } from './step-key.ts';

/** An image that a build takes something from. */
export interface BaseImage {
  row: ImageRow;
  /** What tells its files from all others: of a registered image, what they are just now. */
  identity: unknown;
}

/** @throws BangerError `not_found` */
export function readBase(store: Store | null, ref: string): BaseImage {
  const row = findImage(store, ref);
  const { workSeed: _, ...files } = bootSetOf(row);
  const identity = row.managed ? row.id : pathsOf({ ...files, workSeed: null }).map(fileIdentity);
  return { row, identity };
}

/** Whether an image is still what it was when it was read. */
export function isSameBase(one: BaseImage, other: BaseImage): boolean {
  return one.row.id === other.row.id && digestOf(one.identity) === digestOf(other.identity);
}

function fileIdentity(path: string): string {
  // One that is missing or unusable is told with all that is, later.
  const found = statIfPossible(path);
  return found === null ? '' : identityOf(found);
}

/** Files that a build is given in place of the base's own. */
export interface GivenFiles {
  kernel?: string | undefined;
  initrd?: string | undefined;
  modules?: string | undefined;
}

/** What the image to be built boots from; its work seed is made. Without a base it has what is given. */
export function bootFilesFrom(base: ImageRow | null, { kernel, initrd, modules }: GivenFiles): BootFiles {
  const own = base === null ? null : bootSetOf(base);
  // In full: the sandbox has another working directory.
  const given = (path: string | undefined): string | null => (path === undefined ? null : resolve(path));
  return {
    rootfs: own?.rootfs ?? null,
    kernel: given(kernel) ?? own?.kernel ?? '',
    initrd: given(initrd) ?? own?.initrd ?? null,
    modules: given(modules) ?? own?.modules ?? null,
    workSeed: null,
  };
}

/**
 * What tells modules from all others: their content, unless they are a managed image's own; null where it cannot be read.
 */
export async function modulesIdentity(
  base: BaseImage | null,
  { kernel, modules }: BootFiles,
  ground: DigestGround,
): Promise<unknown> {
  const own = base?.row;
  if (own?.managed && modules === own.modules_dir && kernel === own.kernel_path) return own.id;
  // Modules may be named after the kernel that they stand beside.
  const digests = await Promise.all([modules ?? '', kernel].map((path) => digestPath(path, ground)));
  return digests.includes(null) ? null : digests;
}
