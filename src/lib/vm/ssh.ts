import { join } from 'node:path';
import { BangerError } from '../errors.ts';
import { isTerminal } from '../output.ts';
import { sshTo } from '../system/ssh-client.ts';
import type { Readings } from '../workspace.ts';
import { guestCommand } from './command-line.ts';
import { VM_FILES, vmDirectory } from './disks.ts';
import { showVm } from './list.ts';
import { requireSessionTools } from './session.ts';

/**
 * Logs in to a VM that runs, or runs a command in it, with our standard streams.
 * @throws BangerError `conflict` when it does not run; `not_found`, `usage`; PreflightError without ssh
 */
export async function sshToVm(
  readings: Readings,
  ref: string,
  words: readonly string[],
): Promise<{ vm: string; status: number }> {
  const vm = showVm(readings, ref);
  if (!vm.running || vm.ssh_port === null) {
    throw new BangerError('conflict', `VM ${vm.name} does not run`, { hints: [`banger vm run ${vm.name}`] });
  }
  await requireSessionTools({ vmm: 'qemu', command: ['ssh'] });
  const { layout, config } = readings;
  const target = {
    port: vm.ssh_port,
    privateKey: config.sshKeyPath,
    knownHosts: join(vmDirectory(layout, vm.id), VM_FILES.knownHosts),
  };
  const ended = await sshTo(target, guestCommand(words), {
    isTerminal: isTerminal(0) && words.length === 0,
  });
  return { vm: vm.name, status: ended.exitCode };
}
