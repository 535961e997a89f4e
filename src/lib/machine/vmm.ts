import { BangerError } from '../errors.ts';
import { type Acceleration, type AccelerationGround, chooseAccelerator } from './acceleration.ts';
import { type Accelerator, type MachineOptions, type RunningMachine, startMachine } from './qemu.ts';

/** Who makes the machine: QEMU's microvm, or Firecracker. */
export type Vmm = 'qemu' | 'firecracker';

/** The program of each, and how it is to be had. */
export const VMM_PROGRAMS: Readonly<Record<Vmm, { program: string; mend: string }>> = {
  qemu: { program: 'qemu-system-x86_64', mend: 'apt-get install qemu-system-x86' },
  firecracker: {
    program: 'firecracker',
    mend: 'put a release of Firecracker on the PATH, or boot with QEMU: --vmm qemu',
  },
};

/** Starts a machine, which ends with us. */
export async function startWith(vmm: Vmm, options: MachineOptions): Promise<RunningMachine> {
  if (vmm === 'qemu') return startMachine(options);
  const { startFirecracker } = await import('./firecracker.ts');
  return startFirecracker(options);
}

/**
 * Who runs the guest's instructions. Firecracker knows KVM alone, and says itself what is wrong with it.
 * @throws BangerError `usage`, and as chooseAccelerator
 */
export async function acceleratorFor(
  vmm: Vmm,
  wanted: Acceleration,
  ground: AccelerationGround,
): Promise<Accelerator> {
  if (vmm === 'qemu') return chooseAccelerator(wanted, ground);
  if (wanted !== 'tcg') return 'kvm';
  throw new BangerError('usage', 'Firecracker emulates no processor', {
    hints: ['--vmm qemu', '--accel kvm'],
  });
}
