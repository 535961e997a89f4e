import { start } from '../system/process.ts';
import type { MachineOptions, RunningMachine } from './qemu.ts';
import { unnamedFile } from './unnamed-file.ts';
import { vmlinuxOf } from './vmlinux.ts';

const FIRECRACKER = 'firecracker';

/**
 * Starts a machine of Firecracker's (docs/getting-started.md, --no-api), which ends with us. It runs by KVM alone, unpacks no
 * kernel, and has no network but one that root has made for it.
 * @throws BangerError `preflight_failed` for a kernel that cannot be unpacked
 */
export async function startFirecracker(options: MachineOptions): Promise<RunningMachine> {
  const { signal, onConsole } = options;
  const kernel = await vmlinuxOf(options.kernel, signal);
  const config = unnamedFile(Buffer.from(JSON.stringify(configOf(options, kernel.path))));
  const child = await start(FIRECRACKER, ['--no-api', '--config-file', config.path], {
    signal,
    stdin: 'pipe',
    onOutput: onConsole,
  });
  child.stdin?.on('error', () => {});
  const exited = child.exited.finally(() => {
    kernel.close();
    config.close();
  });
  return {
    type: (bytes) => child.stdin?.write(bytes),
    channels: [],
    cutPower: () => child.kill('SIGKILL'),
    exited,
  };
}

/** Firecracker, docs/api_requests and src/firecracker/swagger/firecracker.yaml. */
function configOf({ initrd, commandLine, disks, memory, cpus }: MachineOptions, kernel: string): object {
  return {
    'boot-source': {
      kernel_image_path: kernel,
      ...(initrd === null ? {} : { initrd_path: initrd }),
      // reboot=k: the only way that such a machine has to end (docs/getting-started.md).
      boot_args: ['console=ttyS0', 'reboot=k', 'panic=-1', 'pci=off', ...commandLine].join(' '),
    },
    drives: disks.map(({ path, isReadOnly = false }, index) => ({
      drive_id: `disk${index}`,
      path_on_host: path,
      is_root_device: false,
      is_read_only: isReadOnly,
    })),
    'machine-config': { vcpu_count: cpus, mem_size_mib: Math.ceil(memory / 2 ** 20) },
  };
}
