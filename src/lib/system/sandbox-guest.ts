import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import type { MountKind } from './sandbox-holder.ts';

// What a step may do and what it finds around it, whatever it runs.

/**
 * What a step may keep of root's capabilities: Docker's default set (moby, oci/caps/defaults.go) without two. MKNOD:
 * every mount of a step is nodev, so a node could not be opened here, but it could in a machine that boots the image
 * with it, and an ordinary user's build could not make it. NET_RAW: the network is the host's own, not a container's.
 * Numbers from linux/capability.h.
 */
const CAPABILITIES = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_KILL: 5,
  CAP_SETGID: 6,
  CAP_SETUID: 7,
  CAP_SETPCAP: 8,
  CAP_NET_BIND_SERVICE: 10,
  CAP_SYS_CHROOT: 18,
  CAP_AUDIT_WRITE: 29,
  CAP_SETFCAP: 31,
} as const;

export const GUEST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const PROXIES = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy'];

/** Capabilities that we have to give: inside a container root itself may lack some. */
export function guestCapabilities(kind: MountKind): string[] {
  const all = Object.entries(CAPABILITIES);
  if (kind === 'fuse') return all.map(([name]) => name);
  const permitted = /^CapPrm:\s*([0-9a-f]+)$/mu.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const mask = BigInt(`0x${permitted ?? '0'}`);
  return all.filter(([, bit]) => ((mask >> BigInt(bit)) & 1n) === 1n).map(([name]) => name);
}

/** What every step finds in its environment; the host's proxies too, unless it has no network. */
export function guestEnvironment(network: 'host' | 'none'): Record<string, string> {
  const env: Record<string, string> = {
    PATH: GUEST_PATH,
    HOME: '/root',
    USER: 'root',
    LOGNAME: 'root',
    SHELL: '/bin/sh',
    LANG: 'C.UTF-8',
    TERM: 'dumb',
    DEBIAN_FRONTEND: 'noninteractive',
    // systemctl then enables and disables on disk, and answers 0 to a start or restart that it ignores.
    SYSTEMD_OFFLINE: '1',
  };
  if (network === 'none') return env;
  for (const name of PROXIES.flatMap((proxy) => [proxy, proxy.toUpperCase()])) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/**
 * Entries of /proc, but for the processes, that their mode would let root write: sysctls, PCI configuration space,
 * sysrq-trigger. A step sees them read-only. bubblewrap's own attempt at this leaves out /proc/sys when DAC_OVERRIDE
 * is dropped or the kernel says that the directory itself cannot be written.
 */
export function writableProcEntries(): string[] {
  // Names alone: withFileTypes looks again at a process that is ending, and throws when it is gone.
  return readdirSync('/proc')
    .filter((name) => !/^\d/u.test(name))
    .map((name) => `/proc/${name}`)
    .filter((path) => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      return (
        stat !== undefined && !stat.isSymbolicLink() && (stat.isDirectory() || (stat.mode & 0o222) !== 0)
      );
    });
}
