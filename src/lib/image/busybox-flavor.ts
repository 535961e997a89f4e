import { chmod, chown, copyFile, mkdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { FaultList, PreflightError } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import { cloneFile } from '../system/clone.ts';
import { makeExt4, type RunTool } from '../system/ext4.ts';
import { identifyKernel } from '../system/kernel-image.ts';
import { run } from '../system/process.ts';
import { findStaticBusybox } from '../system/static-busybox.ts';
import { formatBytes } from '../text.ts';
import type { Assembled, Flavor, FlavorContext } from './bootstrap.ts';
import { GUEST_DIRECTORIES, GUEST_FILES, GUEST_LINKS } from './busybox-guest.ts';
import { busyboxInitrd, type Initrd } from './busybox-initrd.ts';
import { checkKernel, findHostKernel } from './host-kernel.ts';
import { makeWorkSeed } from './work-seed.ts';

export interface BusyboxOptions {
  /** Of the root filesystem, in bytes. */
  size: number;
  /** The newest in /boot when absent. */
  kernel?: string | undefined;
  /** The kernel's modules: those of this machine when absent. */
  modules?: string | undefined;
  /** How the caller tells a user to give others. */
  mends: { kernel: string; modules: string; size: string };
}

const MIB = 2 ** 20;
export const BUSYBOX_SIZE = 64 * MIB;
/** busybox itself, inode tables, and the least journal that ext4 has. */
export const LEAST_SIZE = 16 * MIB;

/**
 * A few MiB from this machine's static busybox: boots to a shell on the console, gets an address, mounts the work
 * seed. Where the kernel's drivers are modules, an initrd of a busybox loads them. No network is needed to make it.
 */
export function busyboxFlavor(options: BusyboxOptions): Flavor {
  let found: Found | undefined;
  return {
    async check() {
      found = await check(options);
      const { size } = await stat(found.busybox);
      const pieces = found.initrd.pieces ?? [];
      const initrdBytes = pieces.reduce((sum, { length }) => sum + length, 0);
      // Their directory, the root filesystem with busybox in it, the work seed, the packages' digest, the initrd.
      return { copies: [found.kernel], more: { bytes: size + initrdBytes, inodes: 5 } };
    },
    async assemble(context) {
      if (found === undefined) throw new Error('a flavor is checked before it is assembled');
      return assemble(options, found, context);
    },
  };
}

interface Found {
  busybox: string;
  kernel: string;
  initrd: Initrd;
}

/** @throws PreflightError listing everything that is missing at once */
async function check(options: BusyboxOptions): Promise<Found> {
  const { size, mends } = options;
  const faults = new FaultList();
  if (size < LEAST_SIZE) {
    faults.add(`${formatBytes(size)} is too small: busybox wants ${formatBytes(LEAST_SIZE)}`, mends.size);
  }
  const busybox = await findStaticBusybox().catch((error: unknown) => {
    if (!(error instanceof PreflightError)) throw error;
    for (const { message, mend } of error.faults) faults.add(message, mend);
    return '';
  });
  const kernel = options.kernel ?? (await findHostKernel(faults, mends.kernel)) ?? '';
  if (kernel !== '') await checkKernel(faults, kernel, mends.kernel);
  faults.throwIfAny('bootstrap busybox');
  const identified = await identifyKernel(kernel);
  const kernelVersion = identified.format === 'unknown' ? null : identified.version;
  const initrd = await busyboxInitrd({ busybox, kernelVersion, modules: options.modules });
  if (initrd.pieces === null && options.modules !== undefined) {
    throw new PreflightError('bootstrap busybox', [{ message: initrd.reason, mend: mends.modules }]);
  }
  return { busybox, kernel, initrd };
}

async function assemble(
  { size }: BusyboxOptions,
  { busybox, kernel, initrd }: Found,
  { stageDir, signal, onLine }: FlavorContext,
): Promise<Assembled> {
  onLine(`busybox: ${busybox}`);
  const rootfs = join(stageDir, ARTIFACT_FILES.rootfs);
  await withBusyboxTree(rootfs, busybox, signal, async (tree, runTool) => {
    await makeRootfs(rootfs, tree, { sizeBytes: size, runTool, signal });
    await makeWorkSeed({ root: tree, runTool }, join(stageDir, ARTIFACT_FILES.workSeed), signal);
  });
  onLine(`kernel: ${kernel}`);
  await cloneFile(kernel, join(stageDir, ARTIFACT_FILES.kernel), signal);
  if (initrd.pieces === null) onLine(`initrd: none: ${initrd.reason}`);
  else {
    await writeFile(join(stageDir, ARTIFACT_FILES.initrd), initrd.pieces, { mode: 0o600 });
    onLine('initrd: the drivers that the kernel has as modules');
  }
  return { initrd: initrd.pieces !== null, modules: false, preset: null, packages: [], presetPackages: [] };
}

/** Makes the root filesystem alone, which a recipe begins from. */
export async function makeBusyboxRootfs(
  rootfs: string,
  busybox: string,
  { sizeBytes, signal }: { sizeBytes: number; signal: AbortSignal },
): Promise<void> {
  await withBusyboxTree(rootfs, busybox, signal, (tree, runTool) =>
    makeRootfs(rootfs, tree, { sizeBytes, runTool, signal }),
  );
}

/** What tells such a root filesystem from others, but for the busybox in it. */
export const BUSYBOX_TREE: readonly unknown[] = [GUEST_DIRECTORIES, GUEST_LINKS, GUEST_FILES];

async function withBusyboxTree(
  rootfs: string,
  busybox: string,
  signal: AbortSignal,
  use: (tree: string, runTool: RunTool) => Promise<void>,
): Promise<void> {
  const tree = `${rootfs}.tree`;
  try {
    await layOut(tree, busybox, signal);
    await use(tree, asGuestRoot(signal));
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

function makeRootfs(
  rootfs: string,
  fromDirectory: string,
  options: { sizeBytes: number; runTool: RunTool; signal: AbortSignal },
): Promise<void> {
  return makeExt4(rootfs, { ...options, label: 'rootfs', fromDirectory });
}

/** The guest's tree. Modes are set, not left to the umask. */
async function layOut(tree: string, busybox: string, signal: AbortSignal): Promise<void> {
  await mkdir(tree);
  // Below a setgid directory it would have a group that is not mapped to root's.
  await chown(tree, process.geteuid?.() ?? -1, process.getegid?.() ?? -1);
  await chmod(tree, 0o755);
  for (const [path, mode] of GUEST_DIRECTORIES) {
    await mkdir(join(tree, path));
    await chmod(join(tree, path), mode);
  }
  await copyFile(busybox, join(tree, 'bin/busybox'));
  await chmod(join(tree, 'bin/busybox'), 0o755);
  const { stdout } = await run(busybox, ['--list-full'], { signal });
  for (const applet of stdout.split('\n').filter((line) => line !== '' && line !== 'bin/busybox')) {
    await symlink(relative(dirname(applet), 'bin/busybox'), join(tree, applet));
  }
  for (const [path, target] of GUEST_LINKS) await symlink(target, join(tree, path));
  for (const [path, mode, content] of GUEST_FILES) {
    await writeFile(join(tree, path), content);
    await chmod(join(tree, path), mode);
  }
}

/** Runs a tool so that our own files are root's to it; that takes a user namespace, but no subordinate ids. */
function asGuestRoot(signal: AbortSignal): RunTool {
  if (process.geteuid?.() === 0) return (file, args, options) => run(file, args, { signal, ...options });
  // setpriv anew, because a change of credentials clears what process.ts has set.
  const prefix = ['--map-root-user', '--', 'setpriv', '--pdeathsig', 'KILL', '--'];
  return (file, args, options) => run('unshare', [...prefix, file, ...args], { signal, ...options });
}
