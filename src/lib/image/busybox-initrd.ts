import { existsSync } from 'node:fs';
import { BOOT_DRIVERS, BOOT_SCRIPT, initramfsOf } from '../machine/initramfs.ts';
import { ModuleTree } from '../machine/module-tree.ts';
import { oneLine } from '../text.ts';
import { moduleTreesIn } from './modules.ts';

export interface InitrdOptions {
  /** A statically linked one. */
  busybox: string;
  /** What the kernel calls itself; null where it does not tell. */
  kernelVersion: string | null;
  /** `/lib/modules/<version>`, or a directory of such; this machine's own when absent. */
  modules?: string | undefined;
}

/** An initial ramdisk in pieces, or why there is none. */
export type Initrd = { pieces: Buffer[] } | { pieces: null; reason: string };

const HOST_MODULES = '/lib/modules';

/**
 * What loads the drivers of a microVM's disks where a kernel has them as modules, mounts the root filesystem and starts its
 * init.
 * @throws BangerError `preflight_failed` for modules that cannot be read, or are of another kernel
 */
export async function busyboxInitrd({ busybox, kernelVersion, modules }: InitrdOptions): Promise<Initrd> {
  const directory = modules ?? HOST_MODULES;
  const trees = existsSync(directory) ? await moduleTreesIn(directory, kernelVersion) : [];
  const own = trees.find(({ version }) => version === kernelVersion);
  if (own === undefined) {
    const version = kernelVersion === null ? 'a kernel that tells no version' : oneLine(kernelVersion);
    return { pieces: null, reason: `${oneLine(directory)} has no modules of ${version}` };
  }
  const tree = await ModuleTree.open(own.path);
  if (BOOT_DRIVERS.every((name) => tree.isBuiltIn(name))) {
    return { pieces: null, reason: 'the kernel has its drivers built in' };
  }
  return { pieces: await initramfsOf({ busybox, modules: tree, script: BOOT_SCRIPT }) };
}
