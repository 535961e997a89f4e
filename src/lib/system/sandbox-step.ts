import { readdirSync, readFileSync, statSync } from 'node:fs';

export interface GuestBind {
  source: string;
  target: string;
}

export interface StepRequest {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  binds: readonly GuestBind[];
  network: 'host' | 'none';
}

/**
 * What a step may keep of root's capabilities: Docker's default set (moby, oci/caps/defaults.go) without two. MKNOD:
 * every mount of a step is nodev, so a node could not be opened here, but it could in a machine that boots the image
 * with it, and an ordinary user's build could not make it. NET_RAW: the network is the host's own, not a container's.
 */
const CAPABILITIES: ReadonlyMap<string, number> = new Map([
  ['CAP_CHOWN', 0],
  ['CAP_DAC_OVERRIDE', 1],
  ['CAP_FOWNER', 3],
  ['CAP_FSETID', 4],
  ['CAP_KILL', 5],
  ['CAP_SETGID', 6],
  ['CAP_SETUID', 7],
  ['CAP_SETPCAP', 8],
  ['CAP_NET_BIND_SERVICE', 10],
  ['CAP_SYS_CHROOT', 18],
  ['CAP_AUDIT_WRITE', 29],
  ['CAP_SETFCAP', 31],
]);

const GUEST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const PROXIES = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy'];

/** What every step finds in its environment, the host's proxies included. */
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
 * Entries of /proc that root could write by their mode alone, sysctls and PCI configuration space among them; they
 * are bound over read-only. bubblewrap's own attempt at this leaves out /proc/sys when DAC_OVERRIDE is dropped.
 */
function writableProcEntries(): string[] {
  return readdirSync('/proc', { withFileTypes: true })
    .filter((entry) => !/^\d/u.test(entry.name) && !entry.isSymbolicLink())
    .map((entry) => `/proc/${entry.name}`)
    .filter((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat !== undefined && (stat.isDirectory() || (stat.mode & 0o222) !== 0);
    });
}

/** Capabilities that we have ourselves to give: inside a container root may lack some. */
function heldCapabilities(kind: 'loop' | 'fuse'): string[] {
  const names = [...CAPABILITIES.keys()];
  if (kind === 'fuse') return names;
  const mask = BigInt(
    `0x${/^CapPrm:\s*([0-9a-f]+)$/mu.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`,
  );
  return names.filter((name) => ((mask >> BigInt(CAPABILITIES.get(name) ?? 63)) & 1n) === 1n);
}

/** bubblewrap's options (bwrap(1)) for one step, all but the mounts that the step script adds. */
export function bubblewrapOptions(root: string, kind: 'loop' | 'fuse', request: StepRequest): string[] {
  const { env, cwd, binds, network } = request;
  return [
    '--die-with-parent',
    '--new-session',
    '--unshare-pid',
    '--unshare-ipc',
    '--unshare-uts',
    '--unshare-cgroup-try',
    ...(network === 'none' ? ['--unshare-net'] : []),
    ...['--hostname', 'localhost'],
    ...['--cap-drop', 'ALL'],
    ...heldCapabilities(kind).flatMap((name) => ['--cap-add', name]),
    ...['--bind', root, '/'],
    ...['--dev', '/dev'],
    ...['--perms', '1777', '--tmpfs', '/dev/shm'],
    ...['--proc', '/proc'],
    ...writableProcEntries().flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--tmpfs', '/run'],
    ...['--perms', '1777', '--dir', '/run/lock'],
    ...['--perms', '1777', '--tmpfs', '/tmp'],
    ...binds.flatMap(({ source, target }) => ['--ro-bind', source, target]),
    '--clearenv',
    ...Object.entries(env).flatMap(([name, value]) => ['--setenv', name, value]),
    ...['--chdir', cwd],
  ];
}

/**
 * Runs in the holder's namespaces: finds where in the guest the host's resolv.conf and hosts and the policy against
 * starting services go, and gives way to bubblewrap. Options come on stdin, NUL-separated, so that what is in the
 * guest's environment is in no process list.
 */
export const STEP = `
exec 3<&0 </dev/null
exec bwrap --args 3 -- "$@"
`;
