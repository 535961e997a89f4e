import { BangerError, PreflightError } from '../errors.ts';
import { attachConsole } from '../machine/console.ts';
import type { Accelerator, MachineDisk, RunningMachine } from '../machine/qemu.ts';
import { shutDown } from '../machine/shutdown.ts';
import { startWith, VMM_PROGRAMS, type Vmm } from '../machine/vmm.ts';
import { isTerminal } from '../output.ts';
import { freePort } from '../system/free-port.ts';
import { findTool } from '../system/preflight.ts';
import { lastLines, toolFailed } from '../system/process.ts';
import { sshTo, waitForSsh } from '../system/ssh-client.ts';
import { formatDuration } from '../text.ts';

/** A guest and what it is run for. */
export interface SessionOptions {
  name: string;
  kernel: string;
  initrd: string | null;
  disks: readonly MachineDisk[];
  /** Bytes. */
  memory: number;
  cpus: number;
  accelerator: Accelerator;
  vmm: Vmm;
  /** A port of the loopback address that leads to the guest's SSH server. */
  sshPort: number | null;
  /** What runs in the guest; an empty one: its console is ours. */
  command: readonly string[];
  /** How long a guest may take until it answers by SSH. */
  timeoutMs: number;
  privateKey: string;
  knownHosts: string;
  /** Whether the disks are thrown away: then nobody waits until the guest has written to them. */
  isThrownAway: boolean;
  /** Something that a user should know now. */
  tell: (message: string) => void;
  /** Where the console is shown when it is ours. */
  show: (bytes: Buffer) => void;
  signal: AbortSignal;
}

/** How many lines of the console tell why a guest did not come up. */
const LAST_LINES = 10;

/** @throws PreflightError where what a session needs is not installed */
export async function requireSessionTools({
  vmm,
  command,
  sshPort,
}: Pick<SessionOptions, 'vmm' | 'command'> & { sshPort?: number | undefined }): Promise<void> {
  const { program, mend: install } = VMM_PROGRAMS[vmm];
  const tools: [tool: string, mend: string][] = [[program, install]];
  if (command.length > 0) tools.push(['ssh', 'apt-get install openssh-client']);
  const faults = [];
  for (const [tool, mend] of tools) {
    if ((await findTool(tool)) !== null) continue;
    faults.push({ message: `${tool} is not installed`, mend });
  }
  if (vmm === 'firecracker' && (command.length > 0 || sshPort !== undefined)) {
    const message = 'Firecracker has no network that needs no root: nobody gets in by SSH';
    faults.push({ message, mend: 'boot with QEMU: --vmm qemu' });
  }
  if (faults.length > 0) throw new PreflightError('machine', faults);
}

/** A port for the session: the one that is wanted, else a free one where a command is to be run. */
export async function choosePort(wanted: number | undefined, isNeeded: boolean): Promise<number | null> {
  return wanted ?? (isNeeded ? freePort() : null);
}

/**
 * Boots a guest and waits for its end, or for that of a command in it.
 * @returns the command's status; null where there was none
 * @throws BangerError `boot_failed` when the guest does not answer; `tool_failed` when QEMU could not run it
 */
export async function runSession(options: SessionOptions): Promise<number | null> {
  const { signal, isThrownAway, command } = options;
  // What is kept is written to the disks before the guest ends: that is asked for, not forced.
  const power = new AbortController();
  let said = '';
  const machine = await startWith(options.vmm, {
    ...machineOf(options),
    channels: 'monitor',
    signal: power.signal,
    onConsole(bytes) {
      if (command.length === 0) options.show(bytes);
      else said = (said + bytes.toString('utf8')).slice(-64 * 1024);
    },
  });
  const end = async (): Promise<void> => {
    // Where there is no monitor nobody can be asked.
    if (isThrownAway || machine.channels.length === 0) machine.cutPower();
    else await shutDown(machine);
  };
  const onAbort = (): void => void end();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    if (command.length === 0) return await ownConsole(machine, options);
    return await runCommand(machine, options, () => said);
  } finally {
    await end();
    await machine.exited;
    signal.removeEventListener('abort', onAbort);
    signal.throwIfAborted();
  }
}

function machineOf(options: SessionOptions) {
  const { kernel, initrd, disks, memory, cpus, accelerator, sshPort } = options;
  return {
    ...{ kernel, initrd, disks, memory, cpus, accelerator },
    commandLine: ['root=/dev/vda', 'rw'],
    network: { sshPort: sshPort ?? undefined },
  };
}

async function ownConsole(machine: RunningMachine, { vmm, signal }: SessionOptions): Promise<null> {
  const console = attachConsole(machine);
  try {
    const ended = await machine.exited;
    signal.throwIfAborted();
    // 137: its power was cut, by us.
    if (![0, 137].includes(ended.exitCode)) {
      throw toolFailed(VMM_PROGRAMS[vmm].program, { ...ended, stdout: '' });
    }
    return null;
  } finally {
    console.detach();
  }
}

async function runCommand(
  machine: RunningMachine,
  { name, sshPort, command, timeoutMs, privateKey, knownHosts, tell, signal }: SessionOptions,
  said: () => string,
): Promise<number> {
  if (sshPort === null) throw new Error('a command goes through a port');
  const left = new AbortController();
  const timeout = AbortSignal.timeout(timeoutMs);
  const gone = machine.exited.then((ended) => {
    left.abort();
    return ended;
  });
  const startedAt = performance.now();
  const answers = await waitForSsh(sshPort, AbortSignal.any([signal, left.signal, timeout]));
  signal.throwIfAborted();
  if (!answers) {
    if (left.signal.aborted) {
      const ended = await gone;
      if (ended.exitCode !== 0) throw toolFailed('qemu-system-x86_64', { ...ended, stdout: '' });
    }
    const why = left.signal.aborted
      ? 'ended before it answered by SSH'
      : `did not answer by SSH within ${formatDuration(timeoutMs)}`;
    const lines = lastLines(said(), LAST_LINES).map((line) => `\n  ${line}`);
    throw new BangerError('boot_failed', `${name} ${why}${lines.join('')}`, {
      hints: ['look at its console: banger vm run without a command', 'allow more time: --timeout 5m'],
    });
  }
  tell(`${name} answers after ${formatDuration(performance.now() - startedAt)}`);
  const target = { port: sshPort, privateKey, knownHosts };
  const ran = await sshTo(target, command, { isTerminal: isTerminal(0), signal });
  signal.throwIfAborted();
  return ran.exitCode;
}
