import { WORK_SEED_LABEL } from './work-seed.ts';

/** Directories of the guest with their modes; parents come first. */
export const GUEST_DIRECTORIES: readonly (readonly [path: string, mode: number])[] = [
  ...['bin', 'dev', 'etc', 'etc/init.d', 'etc/udhcpc', 'mnt', 'proc', 'run', 'sbin', 'sys'].map(
    (path) => [path, 0o755] as const,
  ),
  ...['usr', 'usr/bin', 'usr/sbin'].map((path) => [path, 0o755] as const),
  ...['var', 'var/log'].map((path) => [path, 0o755] as const),
  ['root', 0o700],
  ['tmp', 0o1777],
];

/** init(8): the console is whatever the kernel's command line names, ttyS0 or hvc0 or another. */
const INITTAB = `::sysinit:/etc/init.d/rcS
::respawn:/sbin/console
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/umount -a -r
`;

/** Whoever holds the console of a machine holds the machine: no password is asked there, and none would be right. */
const CONSOLE = `#!/bin/sh
read -r active </sys/class/tty/console/active
exec /sbin/getty -L -n -l /sbin/autologin 115200 "\${active##* }" vt100
`;

const AUTOLOGIN = `#!/bin/sh
exec /bin/login -f root
`;

/** An initramfs, or the kernel itself, may have mounted some already. */
const RC = `#!/bin/sh
PATH=/sbin:/bin:/usr/sbin:/usr/bin
export PATH
mounted() {
  grep -qs " $2 " /proc/mounts && return
  mkdir -p "$2"
  mount -t "$1" -o "$3" "$1" "$2"
}
mounted proc /proc defaults
mounted sysfs /sys defaults
mounted devtmpfs /dev mode=0755
mounted devpts /dev/pts gid=5,mode=620,ptmxmode=666
mounted tmpfs /dev/shm mode=1777
mounted tmpfs /run mode=0755
mdev -s
mount -o remount,rw /
hostname -F /etc/hostname
seed=$(findfs LABEL=${WORK_SEED_LABEL} 2>/dev/null) && mount -t ext4 "$seed" /root
ifconfig lo up
for path in /sys/class/net/e*; do
  [ -e "$path" ] && udhcpc -b -i "\${path##*/}" -s /etc/udhcpc/default.script >/dev/null
done
`;

/** What udhcpc(8) runs for each event, with the lease in its environment. */
const UDHCPC = `#!/bin/sh
case $1 in
deconfig)
  ifconfig "$interface" 0.0.0.0 up
  ;;
bound | renew)
  ifconfig "$interface" "$ip" netmask "\${subnet:-255.255.255.0}" \${broadcast:+broadcast "$broadcast"}
  while route del default gw 0.0.0.0 dev "$interface" 2>/dev/null; do :; done
  for gateway in $router; do route add default gw "$gateway" dev "$interface"; done
  : >/run/resolv.conf
  [ -z "$domain" ] || echo "search $domain" >>/run/resolv.conf
  for server in $dns; do echo "nameserver $server" >>/run/resolv.conf; done
  ;;
esac
`;

/** Files of the guest: path, mode, content. All belong to root. */
export const GUEST_FILES: readonly (readonly [path: string, mode: number, content: string])[] = [
  ['etc/fstab', 0o644, ''],
  ['etc/group', 0o644, 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\n'],
  ['etc/hostname', 0o644, 'busybox\n'],
  ['etc/hosts', 0o644, '127.0.0.1\tlocalhost busybox\n::1\tlocalhost\n'],
  ['etc/init.d/rcS', 0o755, RC],
  ['etc/inittab', 0o644, INITTAB],
  ['etc/os-release', 0o644, 'ID=busybox\nNAME="BusyBox"\nPRETTY_NAME="BusyBox"\n'],
  ['etc/passwd', 0o644, 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'],
  ['etc/profile', 0o644, 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nexport PATH\n'],
  ['etc/shadow', 0o640, 'root:*:0:0:99999:7:::\nnobody:*:0:0:99999:7:::\n'],
  ['etc/shells', 0o644, '/bin/sh\n/bin/ash\n'],
  ['sbin/autologin', 0o755, AUTOLOGIN],
  ['sbin/console', 0o755, CONSOLE],
  ['etc/udhcpc/default.script', 0o755, UDHCPC],
];

/** Links beside those of the applets: path, where it leads. */
export const GUEST_LINKS: readonly (readonly [path: string, target: string])[] = [
  ['etc/mtab', '/proc/mounts'],
  ['etc/resolv.conf', '../run/resolv.conf'],
  ['var/run', '../run'],
];
