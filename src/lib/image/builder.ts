import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Fault } from '../errors.ts';
import { withVolume } from '../ext4/volume.ts';
import { type Acceleration, chooseAccelerator } from '../machine/acceleration.ts';
import type { StepMachine } from '../machine/machine-sandbox.ts';
import { ModuleTree } from '../machine/module-tree.ts';
import { VMM_PROGRAMS } from '../machine/vmm.ts';
import { findTool } from '../system/preflight.ts';
import type { Sandbox } from '../system/sandbox.ts';
import { checkSandbox, checkSandboxTools } from '../system/sandbox-requirements.ts';
import { oneLine } from '../text.ts';
import type { BootFiles } from './artifacts.ts';
import { extractDrivers, extractInitrdDrivers } from './guest-drivers.ts';
import { moduleTreesIn } from './modules.ts';

/** What steps are carried out in: namespaces of this kernel, or a machine that boots the image's own. */
export type BuilderKind = 'sandbox' | 'vm';

/** Which one is asked for, and what a machine has. */
export interface BuilderChoice {
  kind: BuilderKind | 'auto';
  acceleration: Acceleration;
  /** Bytes. */
  memory: number;
  cpus: number;
}

/** What a builder is to be opened on. */
export interface BuilderTarget {
  image: string;
  /** An existing empty directory. */
  mountpoint: string;
  network: 'host' | 'none';
  signal: AbortSignal;
  onLine: (line: string) => void;
}

export type OpenBuilder = (target: BuilderTarget) => Promise<Sandbox>;

export interface ChosenBuilder {
  kind: BuilderKind;
  /** Why it is not the one that is taken where it works. */
  reason: string | null;
}

/**
 * The builder that is asked for; with `auto` the sandbox where it works, which is faster.
 * @returns faults as well when it cannot work here
 */
export async function chooseBuilder(
  wanted: BuilderChoice['kind'],
  signal?: AbortSignal,
): Promise<ChosenBuilder & { faults: readonly Fault[] }> {
  if (wanted === 'sandbox') return { kind: 'sandbox', reason: null, faults: await checkSandboxTools() };
  if (wanted === 'vm') return { kind: 'vm', reason: null, faults: await machineFaults() };
  const [fault, ...more] = await checkSandbox(signal);
  if (fault === undefined) return { kind: 'sandbox', reason: null, faults: [] };
  const missing = await machineFaults();
  if (missing.length > 0) return { kind: 'sandbox', reason: null, faults: [fault, ...more] };
  return { kind: 'vm', reason: `no sandbox here: ${oneLine(fault.message)}`, faults: [] };
}

async function machineFaults(): Promise<Fault[]> {
  const { program, mend } = VMM_PROGRAMS.qemu;
  return (await findTool(program)) === null ? [{ message: `${program} is not installed`, mend }] : [];
}

export interface BuilderGround {
  choice: BuilderChoice;
  bootFiles: BootFiles;
  /** Of the kernel; null where it does not tell. */
  kernelVersion: string | null;
  busybox: string;
  /** Made, for what a machine needs of the image's files. */
  scratch: string;
  cacheDir: string;
  signal: AbortSignal;
  note: (message: string) => void;
}

/** What opens builders of a kind. */
export async function builderOf(kind: BuilderKind, ground: BuilderGround): Promise<OpenBuilder> {
  if (kind === 'sandbox') {
    const { openSandbox } = await import('../system/sandbox.ts');
    return openSandbox;
  }
  const { openMachineSandbox } = await import('../machine/machine-sandbox.ts');
  const machine = await stepMachine(ground);
  return ({ image, network, signal, onLine }) =>
    openMachineSandbox({ image, network, signal, machine, onLine });
}

async function stepMachine(ground: BuilderGround): Promise<StepMachine> {
  const { choice, bootFiles, busybox, cacheDir, signal, note } = ground;
  const { kernel } = bootFiles;
  const { memory, cpus, acceleration } = choice;
  const accelerator = await chooseAccelerator(acceleration, { kernel, cacheDir, signal, notify: note });
  return { kernel, modules: await modulesFor(ground), busybox, memory, cpus, accelerator };
}

/** The kernel's modules: the image's directory of them, else what its root filesystem has, or its initrd. */
async function modulesFor(ground: BuilderGround): Promise<ModuleTree | null> {
  const { kernelVersion, scratch, signal } = ground;
  const { modules, rootfs, initrd } = ground.bootFiles;
  if (modules !== null) {
    const trees = await moduleTreesIn(modules, kernelVersion);
    const tree = trees.find(({ version }) => version === kernelVersion) ?? trees[0];
    if (tree !== undefined) return ModuleTree.open(tree.path);
  }
  const directory = join(scratch, 'modules');
  await mkdir(scratch);
  const hasOwn =
    rootfs !== null &&
    kernelVersion !== null &&
    (await withVolume(rootfs, (volume) => extractDrivers(volume, kernelVersion, directory)));
  const hasAny =
    hasOwn || (initrd !== null && (await extractInitrdDrivers(initrd, kernelVersion, directory, signal)));
  return hasAny ? ModuleTree.open(directory) : null;
}
