import { guestCapabilities, guestEnvironment, writableProcEntries } from './sandbox-guest.ts';
import type { MountKind } from './sandbox-holder.ts';
import { seccompFilter } from './sandbox-seccomp.ts';

export interface GuestBind {
  source: string;
  target: string;
  /** What the step writes there stays with the host; read-only by default. */
  writable?: boolean;
}

/** What a step finds in its place for as long as it runs; directories above it are made where the guest has none. */
export type StepMount =
  | { kind: 'bind'; source: string; target: string; writable: boolean }
  /** A file that is in memory alone; one that is writable may be given another owner. */
  | { kind: 'data'; content: Buffer; target: string; mode: number; writable: boolean }
  /** An empty directory in memory; null for the kernel's own limit (tmpfs(5)). */
  | { kind: 'tmpfs'; target: string; sizeBytes: number | null }
  /** The one directory of the image that can be written to. */
  | { kind: 'alone'; target: string };

export interface StepRequest {
  env: Readonly<Record<string, string>>;
  cwd: string;
  network: 'host' | 'none';
  tmp: 'own' | 'image';
}

/** Of the host, and seen by every step: names resolve as they do here. */
const HOST_FILES = ['/etc/resolv.conf', '/etc/hosts'];

/**
 * bubblewrap's options (bwrap(1)) for one step, but for the binds into the guest, which the step script adds.
 * Everything that it mounts is nosuid and nodev, the root included.
 */
export function bubblewrapOptions(root: string, kind: MountKind, request: StepRequest): string[] {
  const { env, cwd, network, tmp } = request;
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
    ...(tmp === 'own' ? ['--perms', '1777', '--tmpfs', '/tmp'] : []),
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
  mounts: readonly StepMount[];
  binds: readonly GuestBind[];
  /** Whether to run on the same processor as fuse2fs. */
  share: boolean;
  tmp: 'own' | 'image';
  /** bubblewrap's. */
  options: readonly string[];
  /** `given`: it reads something that we give it; `terminal`: what our terminal says. */
  input: 'none' | 'given' | 'terminal';
}

/** Where bubblewrap's options are when stdin is the terminal; nothing of them is secret then. */
export function optionsFile(root: string): string {
  return `${root}.options`;
}

/** What the step script is called with, and what it finds on its stdin before the step's own input. */
export function stepCall(root: string, command: StepCommand): { args: string[]; head: Buffer } {
  const { argv, mounts, binds, share, tmp, options, input } = command;
  const placed = [
    ...mounts.map(placeMount),
    ...[...HOST_FILES.map((path): GuestBind => ({ source: path, target: path })), ...binds].map(
      ({ source, target, writable }) => ({
        args: ['plain', writable ? '--bind' : '--ro-bind', source, target],
        data: '',
      }),
    ),
  ];
  const filter = [...(seccompFilter() ?? [])].map((byte) => `\\0${byte.toString(8)}`).join('');
  const block = Buffer.from(options.map((option) => `${option}\0`).join(''));
  return {
    args: [
      ...[root, filter, share ? 'share' : '', tmp === 'own' ? tmp : ''],
      ...[
        { none: '', given: String(block.length), terminal: optionsFile(root) }[input],
        String(placed.length),
      ],
      ...placed.flatMap(({ args }) => args),
      ...argv,
    ],
    head: Buffer.concat([...placed.map(({ data }) => Buffer.from(data)), block]),
  };
}

function placeMount(mount: StepMount): { args: string[]; data: string } {
  const { target } = mount;
  switch (mount.kind) {
    case 'bind':
      return { args: ['deep', mount.writable ? '--bind' : '--ro-bind', mount.source, target], data: '' };
    case 'alone':
      return { args: ['alone', '', '', target], data: '' };
    case 'tmpfs': {
      // 1777 is what docker has, too (moby, volume/mounts/linux_parser.go).
      const size = mount.sizeBytes === null ? '' : `--size ${mount.sizeBytes} `;
      return { args: ['empty', `--perms 1777 ${size}--tmpfs`, '', target], data: '' };
    }
    case 'data': {
      const data = mount.content.toString('base64');
      const bind = mount.writable ? '--bind-data' : '--ro-bind-data';
      const perms = mount.mode.toString(8).padStart(4, '0');
      return { args: ['data', `--perms ${perms} ${bind}`, String(data.length), target], data };
    }
  }
}
