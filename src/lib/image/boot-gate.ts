import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BangerError } from '../errors.ts';
import type { Acceleration } from '../machine/acceleration.ts';
import { type BootResult, boot } from '../machine/boot.ts';
import { AGENT_BYTES, addBootAgent } from '../machine/boot-agent.ts';
import type { Accelerator } from '../machine/qemu.ts';
import { acceleratorFor, type Vmm } from '../machine/vmm.ts';
import { removeDirectory } from '../recovery.ts';
import { cloneFile } from '../system/clone.ts';
import { growExt4 } from '../system/ext4.ts';
import { findStaticBusybox } from '../system/static-busybox.ts';
import { readSuperblock } from '../system/superblock.ts';
import { formatDuration, oneLine, stripControl } from '../text.ts';
import { type BootSet, describeClone } from './artifacts.ts';
import { makeSound } from './sound-copy.ts';

/** How an image is tried. */
export interface BootTrial {
  /** Shell commands that must succeed in the guest. */
  checks: readonly string[];
  timeoutMs: number;
  /** Bytes. */
  memory: number;
  cpus: number;
  acceleration: Acceleration;
  vmm: Vmm;
}

export interface BootGround {
  /** Made, used and removed: a directory beside the images, so that extents can be shared. */
  scratch: string;
  /** The disks were checked whole, and nobody writes to them. */
  wasChecked: boolean;
  cacheDir: string;
  signal: AbortSignal;
  /** Each line of the console. */
  onLine: (line: string) => void;
  /** Something that a user should know now. */
  note: (message: string) => void;
}

export interface BootVerdict extends BootResult {
  accelerator: Accelerator;
}

/**
 * Boots copies of an image's disks, which are thrown away, until its init says that it is up, and runs the checks in it.
 * The image is only read.
 */
export async function tryBoot(
  { rootfs, workSeed, kernel, initrd }: BootSet,
  trial: BootTrial,
  ground: BootGround,
): Promise<BootVerdict> {
  const { scratch, wasChecked, cacheDir, signal, onLine, note } = ground;
  const busybox = await findStaticBusybox();
  const probing = { kernel, cacheDir, signal, notify: note };
  const accelerator = await acceleratorFor(trial.vmm, trial.acceleration, probing);
  await mkdir(scratch, { mode: 0o700 });
  try {
    const disks: string[] = [];
    for (const [index, source] of [rootfs, workSeed].entries()) {
      if (source === null) continue;
      const copy = join(scratch, index === 0 ? 'rootfs.ext4' : 'work.ext4');
      const method = await cloneFile(source, copy, signal);
      if (index === 0) note(describeClone(method));
      await makeSound({ copy, source, wasChecked, signal });
      disks.push(copy);
    }
    const [disk = ''] = disks;
    if (readSuperblock(disk).freeBytes < AGENT_BYTES) {
      await growExt4(disk, (await stat(disk)).size + 2 * AGENT_BYTES, { signal });
    }
    const agent = await addBootAgent(disk, { busybox, checks: trial.checks, signal });
    const result = await boot({
      ...{ kernel, initrd, agent, accelerator, signal, onLine, vmm: trial.vmm },
      ...{ memory: trial.memory, cpus: trial.cpus, timeoutMs: trial.timeoutMs },
      disks: disks.map((path) => ({ path })),
      // Its own network and nobody in it: what a guest waits for at boot it finds, and it reaches nothing.
      network: { isClosed: true },
    });
    return { ...result, accelerator };
  } finally {
    await removeDirectory(scratch);
  }
}

/** Lines of output that are of use in a message. */
const SHOWN_LINES = 5;

/** Null where the guest came up and every check succeeded. */
export function bootFailure(name: string, verdict: BootVerdict, trial: BootTrial): BangerError | null {
  const fault = bootFault(verdict, trial);
  return fault === null ? null : new BangerError('boot_failed', `image ${name} ${fault}`);
}

function bootFault(verdict: BootVerdict, { checks, timeoutMs }: BootTrial): string | null {
  const { reached, ended, state, failedUnits } = verdict;
  const why = ended === 'guest' ? 'the guest ended' : `not within ${formatDuration(timeoutMs)}`;
  if (reached === 'nothing') return `does not boot: no init was started (${why})`;
  if (reached === 'init') return `does not boot: its init did not come up (${why})`;
  if (state === 'maintenance') {
    return `does not boot: its init fell back to a rescue shell${unitsText(failedUnits)}`;
  }
  for (const [index, check] of checks.entries()) {
    const result = verdict.checks[index];
    if (result === undefined) return `boots, but the check '${shown(check)}' did not end (${why})`;
    if (result.status === 0) continue;
    const said = stripControl(result.output).trimEnd().split('\n').slice(-SHOWN_LINES).join('\n');
    const text = said === '' ? '' : `:\n${said}`;
    return `boots, but the check '${shown(check)}' ended with status ${result.status}${text}`;
  }
  return null;
}

/** Services that failed do not keep an image from being up; a check may (`systemctl is-system-running`). */
export function unitsText(units: readonly string[]): string {
  return units.length === 0 ? '' : ` (failed: ${units.map(oneLine).join(', ')})`;
}

function shown(check: string): string {
  return oneLine(check.trim()).slice(0, 80);
}
