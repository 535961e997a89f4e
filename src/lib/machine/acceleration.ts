import { randomBytes } from 'node:crypto';
import { accessSync, constants, readFileSync, renameSync, rm, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, messageOf, PreflightError } from '../errors.ts';
import { makePrivateDirectory } from '../system/private-directory.ts';
import { type ProbeOutcome, probeKvm } from './probe.ts';
import type { Accelerator } from './qemu.ts';

export type Acceleration = 'auto' | 'kvm' | 'tcg';

const DEVICE = '/dev/kvm';
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
  const { device = DEVICE, cacheDir } = ground;
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
  const outcome = recall(cacheDir, bootId()) ?? (await find(ground));
  if (outcome === 'kvm') return 'kvm';
  return tell(
    outcome === 'tcg' ? `${device} opens, but guests hang or die with it` : 'KVM could not be tried',
  );
}

/** What is known of KVM here without booting anything. */
export interface KvmState {
  /** Why its device cannot be opened; null where it can. */
  closed: string | null;
  /** What a guest made of it since this host booted; null where none has tried. */
  outcome: Accelerator | null;
}

export function kvmState(cacheDir: string, device = DEVICE): KvmState {
  return { closed: whyClosed(device), outcome: recall(cacheDir, bootId()) };
}

function bootId(): string {
  return readFileSync(BOOT_ID, 'utf8').trim();
}

async function find({ kernel, cacheDir, signal }: AccelerationGround): Promise<ProbeOutcome> {
  const outcome = await probeKvm(kernel, signal);
  if (outcome !== 'unknown') remember(cacheDir, bootId(), outcome);
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

function recall(cacheDir: string, boot: string): Accelerator | null {
  try {
    const found: unknown = JSON.parse(readFileSync(join(cacheDir, MEMORY), 'utf8'));
    const { boot_id, works } = found as { boot_id?: unknown; works?: unknown };
    if (boot_id !== boot || typeof works !== 'boolean') return null;
    return works ? 'kvm' : 'tcg';
  } catch {
    // Never written, or damaged, or not ours to read: then it is found out anew.
    return null;
  }
}

/** Where it cannot be remembered it is found out again; that is no error. */
function remember(cacheDir: string, boot: string, accelerator: Accelerator): void {
  const path = join(cacheDir, MEMORY);
  const coming = `${path}.${randomBytes(3).toString('hex')}`;
  try {
    makePrivateDirectory(cacheDir);
    writeFileSync(coming, `${JSON.stringify({ boot_id: boot, works: accelerator === 'kvm' })}\n`, {
      mode: 0o600,
    });
    renameSync(coming, path);
  } catch {
    rm(coming, { force: true }, () => {});
  }
}
