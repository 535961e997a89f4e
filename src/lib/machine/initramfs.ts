import { readFile } from 'node:fs/promises';
import { type CpioEntry, cpioOf } from './cpio.ts';
import type { ModuleTree } from './module-tree.ts';

/** Without one of these built in, a kernel reaches no disk of a microVM but with an initial ramdisk. */
export const BOOT_DRIVERS = ['virtio_mmio', 'virtio_blk', 'ext4'];

/**
 * Drivers of the disks, the ports and the network of microVMs, whose transport is one of the first two, and of ext4 with
 * the checksum that it asks the kernel's crypto for by name.
 */
export const DRIVERS: readonly string[] = [
  ...['virtio_mmio', 'virtio_pci', 'virtio_blk', 'virtio_console', 'virtio_net', 'virtio_rng'],
  ...['crc32c_generic', 'crc32c_intel', 'ext4'],
];

/** Programs of the scripts: each started by itself, as an applet of the one busybox. */
const APPLETS = [
  ...[
    'base64',
    'cat',
    'chroot',
    'cp',
    'dd',
    'dmesg',
    'echo',
    'findfs',
    'insmod',
    'ls',
    'mkdir',
    'mount',
    'poweroff',
  ],
  ...['reboot', 'sh', 'sleep', 'switch_root', 'sync', 'umount'],
];

/** Major and minor number of /dev/console (Documentation/admin-guide/devices.txt). */
export const CONSOLE = { major: 5, minor: 1 };

export interface InitramfsOptions {
  /** A statically linked busybox. */
  busybox: string;
  /** Null for a kernel that has all its drivers built in. */
  modules: ModuleTree | null;
  /** Programs of the script, beside those of every initial ramdisk. */
  applets?: readonly string[];
  /** What it does once drivers are loaded, with proc, sysfs and devtmpfs mounted: lines of busybox's shell. */
  script: string;
}

/**
 * An initial ramdisk of a busybox, the drivers that a microVM needs, and a script, as an archive in pieces. The same input
 * gives the same bytes.
 * @throws BangerError `preflight_failed` for a module that cannot be read
 */
export async function initramfsOf({
  busybox,
  modules,
  script,
  applets = [],
}: InitramfsOptions): Promise<Buffer[]> {
  const drivers = (await modules?.closureOf(DRIVERS)) ?? [];
  const entries: CpioEntry[] = [
    ...['bin', 'dev', 'lib', 'proc', 'root', 'sys'].map(
      (path) => ({ path, type: 'directory', mode: 0o755 }) as const,
    ),
    { path: 'dev/console', type: 'character', mode: 0o600, device: CONSOLE },
    { path: 'bin/busybox', type: 'file', mode: 0o755, content: await readFile(busybox) },
    ...[...APPLETS, ...applets].map(
      (name) =>
        ({ path: `bin/${name}`, type: 'symlink', mode: 0o777, content: Buffer.from('busybox') }) as const,
    ),
    ...drivers.map(
      ({ name, content }) => ({ path: `lib/${name}.ko`, type: 'file', mode: 0o644, content }) as const,
    ),
    { path: 'init', type: 'file', mode: 0o755, content: Buffer.from(initScript(drivers, script)) },
  ];
  return cpioOf(entries);
}

/** A driver of hardware that is not there (crc32c_intel) fails to load, and is not missed. */
function initScript(drivers: readonly { name: string }[], script: string): string {
  const loads = drivers.map(({ name }) => `insmod /lib/${name}.ko 2>/dev/null`);
  return `#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
${loads.join('\n')}
${script}`;
}

/**
 * Mounts the disk that \`root=\` names and starts the guest's init, as an initial ramdisk does. A disk may come a moment
 * after its driver.
 */
export const BOOT_SCRIPT = `
root=/dev/vda options=ro init=/sbin/init flags= type=ext4
for word in $(cat /proc/cmdline); do
  case $word in
  root=*) root=\${word#root=} ;;
  init=*) init=\${word#init=} ;;
  rootflags=*) flags=,\${word#rootflags=} ;;
  rootfstype=*) type=\${word#rootfstype=} ;;
  ro | rw) options=$word ;;
  esac
done
tries=0
while :; do
  case $root in
  LABEL=* | UUID=*) disk=$(findfs "$root" 2>/dev/null) ;;
  *) disk=$root ;;
  esac
  [ -b "$disk" ] && break
  tries=$((tries + 1))
  if [ "$tries" -gt 100 ]; then
    echo "initramfs: there is no disk $root" >&2
    exec sh
  fi
  sleep 0.1
done
mount -t "$type" -o "$options$flags" "$disk" /root || exec sh
umount /sys
umount /proc
mount -o move /dev /root/dev
exec switch_root /root "$init"
`;
