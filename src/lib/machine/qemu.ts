import type { Duplex } from 'node:stream';
import { CHANNEL, type ProcessResult, start } from '../system/process.ts';
import { hostCounterKhz } from './host-clock.ts';

const QEMU = 'qemu-system-x86_64';

/** Who runs the guest's instructions: the processor, by the host's kernel, or QEMU, which translates each of them. */
export type Accelerator = 'kvm' | 'tcg';

/** A raw image; those of a machine are /dev/vda, /dev/vdb … in their order. */
export interface MachineDisk {
  path: string;
  isReadOnly?: boolean;
}

/** A network of the machine's own, behind the host's address. */
export interface MachineNetwork {
  /** A port of the host's loopback address that leads to the guest's port 22. */
  sshPort?: number | undefined;
  /** The guest reaches nobody; what is forwarded to it does. */
  isClosed?: boolean;
}

export interface MachineOptions {
  kernel: string;
  initrd: string | null;
  /** Words for the kernel; what the machine itself needs is added. */
  commandLine: readonly string[];
  disks: readonly MachineDisk[];
  /** Bytes. */
  memory: number;
  cpus: number;
  accelerator: Accelerator;
  network: MachineNetwork | null;
  /**
   * What else connects it with us: virtio ports of the guest's, as its kernel names them (the file `name` of their directories
   * in /sys/class/virtio-ports), or a monitor, by which the machine itself is told what to do.
   */
  channels?: readonly string[] | 'monitor';
  /** Aborting it ends the machine. */
  signal: AbortSignal;
  /** What comes over the serial console, as it comes. */
  onConsole: (bytes: Buffer) => void;
}

export interface RunningMachine {
  /** Types on the serial console. */
  type(bytes: Uint8Array | string): void;
  /** Our ends of the channels. */
  readonly channels: readonly Duplex[];
  /** Ends it at once, as if its power were cut. */
  cutPower(): void;
  /** What becomes of QEMU; its status says nothing of the guest. */
  readonly exited: Promise<ProcessResult>;
}

/**
 * A microvm (QEMU, docs/system/i386/microvm.rst). acpi=on: kernels that take no virtio_mmio.device= on their command line,
 * such as Debian's, find their disks in its tables alone. rtc=on: the guest knows what time it is.
 */
const MACHINE = 'microvm,acpi=on,rtc=on';

/** What a guest that broke out of QEMU may not do (qemu(1), -sandbox). */
const SECCOMP = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

/** Starts a machine, which ends with us. */
export async function startMachine(options: MachineOptions): Promise<RunningMachine> {
  const { signal, onConsole, channels = [] } = options;
  const qemu = await start(QEMU, qemuArguments(options), {
    signal,
    stdin: 'pipe',
    channels: channels === 'monitor' ? 1 : channels.length,
    onOutput: onConsole,
  });
  // What is written to a machine that has ended goes nowhere.
  qemu.stdin?.on('error', () => {});
  for (const channel of qemu.channels) channel.on('error', () => {});
  return {
    type: (bytes) => qemu.stdin?.write(bytes),
    channels: qemu.channels,
    cutPower: () => qemu.kill('SIGKILL'),
    exited: qemu.exited,
  };
}

function qemuArguments(options: Omit<MachineOptions, 'signal' | 'onConsole'>): string[] {
  const { kernel, initrd, commandLine, disks, memory, cpus, accelerator, network } = options;
  const words = ['console=ttyS0', 'reboot=t', 'panic=-1', ...clockWords(accelerator), ...commandLine];
  return [
    ...['-machine', MACHINE],
    ...['-accel', accelerator],
    ...['-cpu', accelerator === 'kvm' ? 'host' : 'max'],
    ...['-m', `${Math.ceil(memory / 2 ** 20)}M`],
    ...['-smp', String(cpus)],
    '-nodefaults',
    // Files of the host's that add devices.
    '-no-user-config',
    // A guest that reboots, or panics, is one that has ended.
    '-no-reboot',
    ...['-display', 'none'],
    ...['-sandbox', SECCOMP],
    ...['-kernel', kernel],
    ...(initrd === null ? [] : ['-initrd', initrd]),
    ...['-append', words.join(' ')],
    ...['-chardev', 'stdio,id=console,signal=off'],
    ...['-serial', 'chardev:console'],
    ...['-device', 'virtio-rng-device'],
    ...(network === null ? ['-nic', 'none'] : networkArguments(network)),
    ...channelArguments(options.channels ?? []),
    ...disks.flatMap(diskArguments),
  ];
}

/**
 * With acpi=on a kernel believes the machine to have no timer but the processor's own, which it cannot measure then
 * (Linux, arch/x86/kernel/acpi/boot.c, acpi_generic_reduced_hw_init), and waits forever. KVM tells its guests how fast it
 * goes; TCG lets them read the host's own counter, and says nothing.
 */
function clockWords(accelerator: Accelerator): string[] {
  return accelerator === 'kvm' ? [] : [`tsc_early_khz=${hostCounterKhz()}`];
}

function channelArguments(channels: readonly string[] | 'monitor'): string[] {
  const socket = (index: number): string[] => ['-chardev', `socket,id=channel${index},fd=${CHANNEL + index}`];
  if (channels === 'monitor') return [...socket(0), ...['-mon', 'chardev=channel0,mode=control']];
  if (channels.length === 0) return [];
  const ports = channels.flatMap((name, index) => [
    ...socket(index),
    ...['-device', `virtserialport,chardev=channel${index},name=${name}`],
  ]);
  return ['-device', 'virtio-serial-device', ...ports];
}

function networkArguments({ sshPort, isClosed = false }: MachineNetwork): string[] {
  const forward = sshPort === undefined ? '' : `,hostfwd=tcp:127.0.0.1:${sshPort}-:22`;
  return [
    ...['-netdev', `user,id=net,restrict=${isClosed ? 'on' : 'off'}${forward}`],
    ...['-device', 'virtio-net-device,netdev=net'],
  ];
}

/**
 * As JSON, in which a file may have any name. A full disk of ours is an error to the guest: QEMU would stop it and wait for
 * room (qemu(1), -drive, werror=enospc).
 */
function diskArguments({ path: filename, isReadOnly = false }: MachineDisk, index: number): string[] {
  const name = `disk${index}`;
  const file = { driver: 'file', filename };
  // discard: what the guest frees is freed in the file too (fstrim(8)).
  const description = { driver: 'raw', 'node-name': name, 'read-only': isReadOnly, discard: 'unmap', file };
  return [
    ...['-blockdev', JSON.stringify(description)],
    ...['-device', `virtio-blk-device,drive=${name},werror=report,rerror=report`],
  ];
}
