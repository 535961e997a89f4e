import { type Finding, fail, ok, warn } from '../finding.ts';
import { chooseBuilder } from '../image/builder.ts';
import { type KvmState, kvmState } from '../machine/acceleration.ts';
import { VMM_PROGRAMS } from '../machine/vmm.ts';
import { findTool } from '../system/preflight.ts';
import { asRoot, type Patient } from './patient.ts';

/** Which builder `--builder auto` takes here and why, and how fast machines are. */
export async function examineBuilder(
  patient: Patient,
  cacheDir: string,
  signal?: AbortSignal,
): Promise<Finding[]> {
  const { kind, reason, faults } = await chooseBuilder('auto', signal);
  const machine = await examineMachine(cacheDir);
  if (faults.length > 0) {
    const mend = asRoot(patient, VMM_PROGRAMS.qemu.mend);
    const detail = 'none: the sandbox does not work here, and there is no QEMU for a virtual machine';
    return [fail('builder', detail, mend), ...machine];
  }
  const detail =
    kind === 'sandbox'
      ? 'the sandbox: it works here, and is faster than a virtual machine'
      : `the virtual machine: ${reason ?? ''}`;
  return [ok('builder', detail), ...machine];
}

async function examineMachine(cacheDir: string): Promise<Finding[]> {
  if ((await findTool(VMM_PROGRAMS.qemu.program)) === null) return [];
  return [kvmFinding(kvmState(cacheDir))];
}

function kvmFinding({ closed, outcome }: KvmState): Finding {
  const emulated = 'machines are emulated (TCG), which is several times slower';
  if (closed !== null) return warn('KVM', `/dev/kvm cannot be opened: ${closed}; ${emulated}`);
  switch (outcome) {
    case 'kvm':
      return ok('KVM', 'guests have run with it since this host booted');
    case 'tcg':
      return warn('KVM', `/dev/kvm opens, but guests hang or die with it; ${emulated}`);
    case null:
      return ok('KVM', '/dev/kvm opens; the first machine tries whether guests run with it');
  }
}
