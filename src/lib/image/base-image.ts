import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { type BootSet, bootSetOf, pathsOf } from './artifacts.ts';
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
export function readBase(store: Store, ref: string): BaseImage {
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
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined
    ? ''
    : [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(':');
}

/** Files that a build is given in place of the base's own. */
export interface GivenFiles {
  kernel?: string | undefined;
  initrd?: string | undefined;
  modules?: string | undefined;
}

/** What the image to be built boots from; its work seed is made. */
export function bootSetFrom(base: ImageRow, { kernel, initrd, modules }: GivenFiles): BootSet {
  return {
    ...bootSetOf(base),
    // In full: the sandbox has another working directory.
    ...(kernel === undefined ? {} : { kernel: resolve(kernel) }),
    ...(initrd === undefined ? {} : { initrd: resolve(initrd) }),
    ...(modules === undefined ? {} : { modules: resolve(modules) }),
    workSeed: null,
  };
}

/** What tells modules from all others: their content, unless they are a managed image's own; null where it cannot be read. */
export async function modulesIdentity(
  { row }: BaseImage,
  { modules, kernel }: GivenFiles,
  ground: DigestGround,
): Promise<unknown> {
  if (row.managed && modules === undefined && kernel === undefined) return row.id;
  // Modules may be named after the kernel that they stand beside.
  const paths = [modules ?? row.modules_dir ?? '', kernel ?? row.kernel_path];
  const digests = await Promise.all(paths.map((path) => digestPath(resolve(path), ground)));
  return digests.includes(null) ? null : digests;
}
