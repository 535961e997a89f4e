import { readFileSync } from 'node:fs';
import { type ProcessResult, start } from '../../src/lib/system/process.ts';

interface MachineOptions {
  kernel: string;
  initrd: string | null;
  /** Of the kernel; what the machine itself needs is added. */
  commandLine: readonly string[];
  /** Raw images, in the order of /dev/vda, /dev/vdb … */
  disks: readonly string[];
  /** MiB. */
  memory: number;
  signal: AbortSignal;
  /** Each line of the serial console. */
  onConsole: (line: string) => void;
}

interface RunningMachine {
  /** Types on the serial console. */
  type(text: string): void;
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
  const { signal, onConsole } = options;
  const onLine = (line: string): void => onConsole(line.trimEnd());
  const qemu = await start('qemu-system-x86_64', qemuArguments(options), { signal, stdin: 'pipe', onLine });
  // What is written to a machine that has ended goes nowhere.
  qemu.stdin?.on('error', () => {});
  return { type: (text) => qemu.stdin?.write(text), exited: qemu.exited };
}

function qemuArguments(options: MachineOptions): string[] {
  const { kernel, initrd, commandLine, disks, memory } = options;
  // With acpi=on the kernel believes the machine to have no timer but the processor's own, which it cannot measure then
  // (Linux, arch/x86/kernel/acpi/boot.c, acpi_generic_reduced_hw_init). TCG lets guests read the host's own counter.
  const words = [
    'console=ttyS0',
    'reboot=t',
    'panic=-1',
    `tsc_early_khz=${hostCounterKhz()}`,
    ...commandLine,
  ];
  return [
    ...['-machine', MACHINE],
    // Whether this machine's KVM works or hangs its guests nobody knows.
    ...['-accel', 'tcg'],
    ...['-cpu', 'max'],
    ...['-m', `${memory}M`],
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
    ...['-nic', 'none'],
    ...disks.flatMap(diskArguments),
  ];
}

/** As JSON, in which a file may have any name. */
function diskArguments(filename: string, index: number): string[] {
  const name = `disk${index}`;
  const description = { driver: 'raw', 'node-name': name, file: { driver: 'file', filename } };
  return [...['-blockdev', JSON.stringify(description)], ...['-device', `virtio-blk-device,drive=${name}`]];
}

/** Where nobody can tell, time runs a little faster or slower in the guest. */
const USUAL_KHZ = 2_500_000;

/** What the host's processor is sold as comes nearest to how fast its counter goes; else how fast it is now. */
function hostCounterKhz(): number {
  const text = readFileSync('/proc/cpuinfo', 'utf8');
  const sold = /^model name\s*:.*@ (\d+\.\d+)GHz/mu.exec(text)?.[1];
  if (sold !== undefined) return Math.round(Number(sold) * 1_000_000);
  const now = /^cpu MHz\s*:\s*(\d+\.\d+)/mu.exec(text)?.[1];
  return now === undefined ? USUAL_KHZ : Math.round(Number(now) * 1000);
}
