import { setTimeout as sleep } from 'node:timers/promises';
import { PROBE_SENTINEL, probeInitramfs } from './probe-guest.ts';
import { type Accelerator, startMachine } from './qemu.ts';
import { unnamedFile } from './unnamed-file.ts';

/** What became of a tiny guest. `unknown`: it booted in no way, which says nothing of KVM. */
export type ProbeOutcome = Accelerator | 'unknown';

const MEMORY = 128 * 2 ** 20;
/** A kernel that gets nowhere in this time, emulated on whatever machine, is not one to judge by, in milliseconds. */
const LIMIT_MS = 60_000;
/** Processors are several times as fast as their emulation: a guest that comes later than that by so much hangs. */
const GRACE_MS = 3000;

/**
 * Boots a tiny guest with KVM and the same one emulated, at the same time: a /dev/kvm that opens may still hang or kill
 * every guest, as is common under nested virtualisation, but a guest that boots in neither way says nothing of it.
 * @param kernel the one that a machine is about to boot
 */
export async function probeKvm(kernel: string, signal: AbortSignal): Promise<ProbeOutcome> {
  const initrd = unnamedFile(probeInitramfs());
  const ended = new AbortController();
  const guest = { kernel, initrd: initrd.path };
  const [kvm, tcg] = (['kvm', 'tcg'] as const).map((accelerator) =>
    boot(accelerator, guest, AbortSignal.any([signal, ended.signal, AbortSignal.timeout(LIMIT_MS)])),
  ) as [Promise<boolean>, Promise<boolean>];
  const spoke = async (guest: Promise<boolean>): Promise<void> => {
    if (!(await guest)) throw new Error('it said nothing');
  };
  const lateForKvm = async (): Promise<Accelerator> => {
    await spoke(tcg);
    const hasSpoken = await Promise.race([kvm, sleep(GRACE_MS, false)]);
    return hasSpoken ? 'kvm' : 'tcg';
  };
  try {
    return await Promise.any([spoke(kvm).then(() => 'kvm' as const), lateForKvm()]);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof AggregateError) return 'unknown';
    throw error;
  } finally {
    ended.abort();
    await Promise.allSettled([kvm, tcg]);
    initrd.close();
  }
}

/** Whether a program ran in the guest before it ended, or was ended. */
async function boot(
  accelerator: Accelerator,
  guest: { kernel: string; initrd: string },
  signal: AbortSignal,
): Promise<boolean> {
  let said = '';
  let hasSpoken = false;
  const machine = await startMachine({
    ...guest,
    ...{ commandLine: ['quiet'], disks: [], memory: MEMORY, cpus: 1, network: null },
    accelerator,
    signal,
    onConsole(bytes) {
      if (hasSpoken) return;
      said = (said + bytes.toString('latin1')).slice(-4096);
      hasSpoken = said.includes(PROBE_SENTINEL);
      if (hasSpoken) machine.cutPower();
    },
  });
  await machine.exited;
  return hasSpoken;
}
