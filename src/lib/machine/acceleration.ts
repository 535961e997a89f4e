import { randomBytes } from 'node:crypto';
import { accessSync, constants, readFileSync, renameSync, rm, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf, PreflightError } from '../errors.ts';
import { makePrivateDirectory } from '../system/private-directory.ts';
import { type ProbeOutcome, probeKvm } from './probe.ts';
import type { Accelerator } from './qemu.ts';

export type Acceleration = 'auto' | 'kvm' | 'tcg';

/** In the cache directory: what a guest made of KVM since the host booted. */
const MEMORY = 'kvm.json';
/** Random, and another one each time the kernel starts (random(4)). */
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export interface AccelerationGround {
  /** What would be booted to find out. */
  kernel: string;
  cacheDir: string;
  signal: AbortSignal;
  notify: (message: string) => void;
  /** KVM's device (default: /dev/kvm). */
  device?: string;
}

/**
 * Who is to run a machine. With `auto` KVM does where it has been seen to run a guest since this host booted; where it does
 * not, one line says so.
 * @throws PreflightError when KVM is asked for and cannot be had
 */
export async function chooseAccelerator(
  wanted: Acceleration,
  ground: AccelerationGround,
): Promise<Accelerator> {
  if (wanted === 'tcg') return 'tcg';
  const { device = '/dev/kvm', cacheDir } = ground;
  const closed = whyClosed(device);
  if (wanted === 'kvm') {
    if (closed === null) return 'kvm';
    throw new PreflightError('KVM', [
      { message: `${device} cannot be opened: ${closed}`, mend: 'emulate the machine: --accel tcg' },
    ]);
  }
  const tell = (why: string): Accelerator => {
    ground.notify(`${why}; the machine is emulated (TCG), which is several times slower`);
    return 'tcg';
  };
  if (closed !== null) return tell(`${device} cannot be opened: ${closed}`);
  const bootId = readFileSync(BOOT_ID, 'utf8').trim();
  const outcome = recall(cacheDir, bootId) ?? (await find(ground, bootId));
  if (outcome === 'kvm') return 'kvm';
  return tell(
    outcome === 'tcg' ? `${device} opens, but guests hang or die with it` : 'KVM could not be tried',
  );
}

async function find({ kernel, cacheDir, signal }: AccelerationGround, bootId: string): Promise<ProbeOutcome> {
  const outcome = await probeKvm(kernel, signal);
  if (outcome !== 'unknown') remember(cacheDir, bootId, outcome);
  return outcome;
}

function whyClosed(device: string): string | null {
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return errnoOf(error) === 'ENOENT' ? 'there is none' : messageOf(error);
  }
}

function recall(cacheDir: string, bootId: string): Accelerator | null {
  try {
    const found: unknown = JSON.parse(readFileSync(join(cacheDir, MEMORY), 'utf8'));
    const { boot_id, works } = found as { boot_id?: unknown; works?: unknown };
    if (boot_id !== bootId || typeof works !== 'boolean') return null;
    return works ? 'kvm' : 'tcg';
  } catch {
    // Never written, or damaged, or not ours to read: then it is found out anew.
    return null;
  }
}

/** Where it cannot be remembered it is found out again; that is no error. */
function remember(cacheDir: string, bootId: string, accelerator: Accelerator): void {
  const path = join(cacheDir, MEMORY);
  const coming = `${path}.${randomBytes(3).toString('hex')}`;
  try {
    makePrivateDirectory(cacheDir);
    writeFileSync(coming, `${JSON.stringify({ boot_id: bootId, works: accelerator === 'kvm' })}\n`, {
      mode: 0o600,
    });
    renameSync(coming, path);
  } catch {
    rm(coming, { force: true }, () => {});
  }
}
