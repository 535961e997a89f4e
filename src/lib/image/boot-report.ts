import type { Boot, NewBoot } from '../store/boots.ts';
import { formatTable } from '../table.ts';
import { formatAge, formatDuration } from '../text.ts';
import { type BootTrial, type BootVerdict, unitsText } from './boot-gate.ts';

/** A boot, or one of an earlier generation, as `--json` prints it. Milliseconds of the guest's clock. */
export interface BootTimes {
  kernel_ms: number;
  /** Null where there is no initial ramdisk. */
  initrd_ms: number | null;
  userspace_ms: number;
  total_ms: number;
}

export interface EarlierBoot extends BootTimes {
  generation: number;
  at: string;
  accelerator: string;
}

/** What came of booting an image, as `--json` prints it. */
export interface BootReport {
  up: boolean;
  /** What its init said; null for one that never came up. */
  state: string | null;
  failed_units: string[];
  times: BootTimes | null;
  accelerator: string;
  checks: { command: string; status: number; output: string }[];
  /** The newest boot of each earlier generation of the name. */
  earlier: EarlierBoot[];
  log_path: string;
}

export function timesOf({ phases }: BootVerdict): BootTimes | null {
  if (phases === null) return null;
  const { kernel, initrd, userspace } = phases;
  return {
    kernel_ms: kernel,
    initrd_ms: initrd,
    userspace_ms: userspace,
    total_ms: kernel + (initrd ?? 0) + userspace,
  };
}

export function earlierBoot(
  { at, accelerator, kernel_ms, initrd_ms, userspace_ms }: Boot,
  generation: number,
): EarlierBoot {
  const total_ms = kernel_ms + (initrd_ms ?? 0) + userspace_ms;
  return { generation, at, accelerator, kernel_ms, initrd_ms, userspace_ms, total_ms };
}

/** What is kept of a boot; null of one that never came up. */
export function bootRowOf(
  imageId: string,
  { phases, accelerator }: BootVerdict,
  { trial, passed }: { trial: BootTrial; passed: boolean },
): NewBoot | null {
  if (phases === null) return null;
  return {
    image_id: imageId,
    at: new Date().toISOString(),
    vmm: 'qemu',
    accelerator,
    memory_bytes: trial.memory,
    cpus: trial.cpus,
    kernel_ms: phases.kernel,
    initrd_ms: phases.initrd,
    userspace_ms: phases.userspace,
    passed: passed ? 1 : 0,
  };
}

const HEADER = ['BOOT', 'WHEN', 'KERNEL', 'INITRD', 'USERSPACE', 'TOTAL', 'BY'];

/** What `image verify --boot` prints for people. */
export function bootTable({ times, state, failed_units, accelerator, earlier, checks }: BootReport): string {
  if (times === null) return '';
  const row = (name: string, when: string, by: string, boot: BootTimes): string[] => [
    name,
    when,
    formatDuration(boot.kernel_ms),
    boot.initrd_ms === null ? '-' : formatDuration(boot.initrd_ms),
    formatDuration(boot.userspace_ms),
    formatDuration(boot.total_ms),
    by,
  ];
  const table = formatTable(HEADER, [
    row('this one', 'now', accelerator, times),
    ...earlier.map((boot) =>
      row(`generation ${boot.generation}`, formatAge(boot.at), boot.accelerator, boot),
    ),
  ]);
  const degraded = failed_units.length > 0 ? `its init says it is ${state}${unitsText(failed_units)}\n` : '';
  const ran = checks.map(({ command, status }) => `check '${command.trim()}': status ${status}\n`).join('');
  return `${table}${degraded}${ran}`;
}
