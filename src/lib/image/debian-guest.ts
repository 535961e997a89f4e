import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';
import type { Distribution } from './debian-sources.ts';
import { WORK_SEED_LABEL } from './work-seed.ts';

/** What the guest's fstab calls its root filesystem. */
export const ROOTFS_LABEL = 'rootfs';

/** The guest's packages beyond what every Debian has: it boots, gets an address, takes a login and installs more. */
const BASE_PACKAGES = [
  'ca-certificates',
  'dbus',
  'e2fsprogs',
  'initramfs-tools',
  'iproute2',
  'kmod',
  'libpam-systemd',
  'netbase',
  'openssh-server',
  'procps',
  'systemd-resolved',
  'systemd-sysv',
  'udev',
  'zstd',
];

/** Kernels without drivers for hardware that virtual machines do not have. */
const KERNELS: Readonly<Record<Distribution, Readonly<Record<string, string>>>> = {
  debian: { amd64: 'linux-image-cloud-amd64', arm64: 'linux-image-cloud-arm64' },
  ubuntu: { amd64: 'linux-image-virtual', arm64: 'linux-image-virtual' },
};

/** Releases in which systemd-resolved is part of systemd. */
const WITH_RESOLVED = /^(?:buster|bullseye|focal|jammy)$/u;

/** The package that brings the guest's kernel, or null for an architecture that has none for virtual machines. */
export function kernelPackage(distribution: Distribution, architecture: string): string | null {
  return KERNELS[distribution][architecture] ?? null;
}

export function basePackages(suite: string): string[] {
  return BASE_PACKAGES.filter((name) => name !== 'systemd-resolved' || !WITH_RESOLVED.test(suite));
}

/** Files of the guest's configuration: path, content, mode. All belong to root. */
function guestFiles(hostname: string): [path: string, content: string, mode?: number][] {
  return [
    ['etc/hostname', `${hostname}\n`],
    ['etc/hosts', hosts(hostname)],
    ['etc/fstab', FSTAB],
    ['etc/default/locale', 'LANG=C.UTF-8\n'],
    ['etc/initramfs-tools/conf.d/virtual-machine', INITRAMFS],
    ['usr/share/initramfs-tools/modules.d/virtual-machine', `${INITRAMFS_MODULES.join('\n')}\n`],
    ['etc/ssh/sshd_config.d/key-login-only.conf', SSHD],
    ['etc/systemd/network/99-dhcp.network', DHCP],
    ['etc/systemd/system/ssh-host-keys.service', SSH_HOST_KEYS],
    ['etc/systemd/system/ssh.service.d/work-seed.conf', '[Unit]\nAfter=root.mount\n'],
    ['etc/systemd/system-generators/work-seed', WORK_SEED_GENERATOR, 0o755],
  ];
}

/** Enabled beside what packages enable themselves; a release that lacks one does without. */
export const ENABLED_UNITS = [
  'systemd-networkd.service',
  'systemd-resolved.service',
  'systemd-network-generator.service',
  'ssh-host-keys.service',
];
/** They look for LVM snapshots to check, and take seconds of a boot to find none. */
export const DISABLED_UNITS = ['e2scrub_reap.service', 'e2scrub_all.timer'];

function hosts(hostname: string): string {
  return `127.0.0.1\tlocalhost
127.0.1.1\t${hostname}
::1\tlocalhost ip6-localhost ip6-loopback
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;
}

/**
 * The entry for / makes systemd mount it read-write when the kernel's command line says `ro`. The work seed may take its
 * time: a machine too slow for a short limit would come up without its owner's keys, and one that has no such disk does
 * not wait at all (the generator below).
 */
const FSTAB = `LABEL=${ROOTFS_LABEL}\t/\text4\terrors=remount-ro\t0 1
LABEL=${WORK_SEED_LABEL}\t/root\text4\tnofail,x-systemd.device-timeout=90s\t0 2
`;

/** A login waits for the mount of its home: without this, as long as the device may take, each time. */
const WORK_SEED_GENERATOR = `#!/bin/sh
# No disk of that label: then there is no such mount in this boot, and nothing waits for it (systemd.generator(7)).
[ -e /dev/disk/by-label/${WORK_SEED_LABEL} ] || blkid -L ${WORK_SEED_LABEL} >/dev/null || ln -s /dev/null "$2/root.mount"
`;

/** RESUME: else the swap of the machine that builds would be waited for. zstd unpacks fastest for its size. */
const INITRAMFS = `MODULES=list
COMPRESS=zstd
RESUME=none
`;

/** Disks and consoles of Firecracker, QEMU (microvm too) and Cloud Hypervisor; ext4 is in the kernel. */
const INITRAMFS_MODULES = [
  ...['virtio_mmio', 'virtio_pci', 'virtio_blk', 'virtio_scsi', 'sd_mod', 'virtio_console'],
  ...['nvme', 'ext4', 'overlay'],
];

const SSHD = `PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
`;

/** Last, so that \`ip=\` on the kernel's command line comes first. By address: clones share a machine-id, not that. */
const DHCP = `[Match]
Name=en* eth*

[Network]
DHCP=yes

[DHCPv4]
ClientIdentifier=mac
`;

/** One kind of key: on a slow machine the others take longer than all the rest of the boot. */
const SSH_HOST_KEYS = `[Unit]
Description=Make the SSH host key on the first boot
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key

[Install]
WantedBy=ssh.service
`;

/** Writes the guest's configuration as a tree that is copied over its root. */
export async function writeGuestFiles(
  directory: string,
  { hostname, sources }: { hostname: string; sources: string },
) {
  const files = [...guestFiles(hostname), ['etc/apt/sources.list.d/debian.sources', sources] as const];
  for (const [path, content, mode = 0o644] of files) {
    const file = join(directory, path);
    await makeDirectories(directory, dirname(path));
    await writeFile(file, content);
    await chmod(file, mode);
  }
  await symlink('../run/systemd/resolve/stub-resolv.conf', join(directory, 'etc/resolv.conf'));
}

/** Each 0755 whatever our umask, because their modes are copied too. */
export async function makeDirectories(base: string, path: string): Promise<void> {
  let directory = base;
  for (const part of ['', ...path.split('/')]) {
    directory = join(directory, part);
    await mkdir(directory).catch((error: unknown) => {
      if (errnoOf(error) !== 'EEXIST') throw error;
    });
    await chmod(directory, 0o755);
  }
}
