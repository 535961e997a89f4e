import { guestCapabilities, guestEnvironment, writableProcEntries } from './sandbox-guest.ts';
import type { MountKind } from './sandbox-holder.ts';
import { seccompFilter } from './sandbox-seccomp.ts';

export interface GuestBind {
  source: string;
  target: string;
  /** What the step writes there stays with the host; read-only by default. */
  writable?: boolean;
}

export interface StepRequest {
  env: Readonly<Record<string, string>>;
  cwd: string;
  network: 'host' | 'none';
}

/** Of the host, and seen by every step: names resolve as they do here. */
const HOST_FILES = ['/etc/resolv.conf', '/etc/hosts'];

/**
 * bubblewrap's options (bwrap(1)) for one step, but for the binds into the guest, which the step script adds.
 * Everything that it mounts is nosuid and nodev, the root included.
 */
export function bubblewrapOptions(root: string, kind: MountKind, request: StepRequest): string[] {
  const { env, cwd, network } = request;
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
    ...guestCapabilities(kind).flatMap((name) => ['--cap-add', name]),
    ...['--bind', root, '/'],
    ...['--dev', '/dev'],
    ...['--perms', '1777', '--tmpfs', '/dev/shm'],
    ...['--proc', '/proc'],
    ...writableProcEntries().flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--tmpfs', '/run'],
    ...['--perms', '1777', '--dir', '/run/lock'],
    ...['--perms', '1777', '--tmpfs', '/tmp'],
    '--clearenv',
    ...Object.entries({ ...guestEnvironment(network), ...env }).flatMap(([name, value]) => [
      '--setenv',
      name,
      value,
    ]),
    ...['--chdir', cwd],
  ];
}

export interface StepCommand {
  argv: readonly string[];
  binds: readonly GuestBind[];
  /** Whether to run on the same processor as fuse2fs. */
  share: boolean;
}

/** The step script's arguments: the root, the filter, a processor or nothing, how many binds, the binds, the command. */
export function stepArguments(root: string, { argv, binds, share }: StepCommand): string[] {
  const all: GuestBind[] = [...HOST_FILES.map((path) => ({ source: path, target: path })), ...binds];
  const filter = [...(seccompFilter() ?? [])].map((byte) => `\\0${byte.toString(8)}`).join('');
  return [
    root,
    filter,
    share ? 'share' : '',
    String(all.length),
    ...all.flatMap(({ source, target, writable }) => [writable ? '--bind' : '--ro-bind', source, target]),
    ...argv,
  ];
}
