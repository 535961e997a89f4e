import { BangerError } from '../errors.ts';
import type { Acceleration } from '../machine/acceleration.ts';
import type { Vmm } from '../machine/vmm.ts';
import { parseSize } from '../size.ts';
import type { BootTrial } from './boot-gate.ts';
import { parseDuration } from './duration.ts';

/** The flags of a machine, as they are typed. */
export interface TypedMachine {
  accel: Acceleration;
  vmm: Vmm;
  memory: string;
  cpus: number;
}

export interface TypedTrial extends TypedMachine {
  check?: readonly string[] | undefined;
  timeout: string;
}

/** Less is not enough for a kernel of a distribution and its initial ramdisk. */
const LEAST_MEMORY = 64 * 2 ** 20;

/** @throws BangerError `usage` */
export function bootTrial(typed: TypedTrial): BootTrial {
  return {
    checks: typed.check ?? [],
    timeoutMs: parseDuration(typed.timeout),
    ...machineFrom(typed),
  };
}

/** What a machine has. @throws BangerError `usage` */
export function machineFrom({
  memory,
  cpus,
  accel,
  vmm,
}: TypedMachine): Omit<BootTrial, 'checks' | 'timeoutMs'> {
  return { memory: parseMemory(memory), cpus, acceleration: accel, vmm };
}

/** Bytes. */
function parseMemory(text: string): number {
  const bytes = parseSize(text);
  if (bytes >= LEAST_MEMORY) return bytes;
  throw new BangerError('usage', `a machine with ${text} of memory boots nothing`, {
    hints: ['--memory 512M'],
  });
}
