import { guestCapabilities, guestEnvironment, writableProcEntries } from './sandbox-guest.ts';
import type { MountKind } from './sandbox-holder.ts';
import { seccompFilter } from './sandbox-seccomp.ts';

export interface GuestBind {
  source: string;
  target: string;
}

export interface StepRequest {
  env: Readonly<Record<string, string>>;
  cwd: string;
  binds: readonly GuestBind[];
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

/** The step script's arguments: the root, the filter, how many binds, the binds, the step's command. */
export function stepArguments(root: string, binds: readonly GuestBind[], argv: readonly string[]): string[] {
  const all = [...HOST_FILES.map((path) => ({ source: path, target: path })), ...binds];
  const filter = [...(seccompFilter() ?? [])].map((byte) => `\\0${byte.toString(8)}`).join('');
  return [
    root,
    filter,
    String(all.length),
    ...all.flatMap(({ source, target }) => [source, target]),
    ...argv,
  ];
}

/**
 * Runs one step, in the holder's namespaces; bubblewrap's options come on stdin, NUL-separated, so that the guest's
 * environment is in no process list. bash, because dash cannot close a descriptor above 9.
 *
 * - It dies with nsenter, whose parent is outside the PID namespace and so has the number 0 (getppid(2)).
 * - A step inherits no descriptor of ours, and writes to pipes: Node's are sockets, which /dev/stdout cannot reopen.
 * - Where a bind goes is found here, as the guest's own symbolic links say: bubblewrap would follow them on its way
 *   through the host's tree, and make missing files there. A file that had to be made for a bind is taken away after.
 * - Debian's policy-rc.d keeps services from being started (invoke-rc.d(8)); 101 is `action forbidden`. What a step
 *   starts by other means ends with the step's PID namespace.
 */
export const STEP_SCRIPT = String.raw`
[[ $PPID -eq 0 ]] || exit 143
for fd in /proc/self/fd/*; do
  fd=${'$'}{fd##*/}
  if ((fd > 2)); then { exec {fd}>&-; } 2>/dev/null; fi
done
umask 022
root=$1 filter=$2 binds=$3
shift 3
made=()
fail() {
  printf 'sandbox: %s\n' "$1" >&2
  exit 125
}
tidy() {
  local path
  for path in "${'$'}{made[@]}"; do
    if [[ -d $path ]]; then rmdir -- "$path"; elif [[ ! -s $path ]]; then rm -f -- "$path"; fi
  done 2>/dev/null
}
trap tidy EXIT

for directory in dev proc run tmp; do
  [[ -d $root/$directory && ! -L $root/$directory ]] && continue
  mkdir -- "$root/$directory" 2>/dev/null || fail "/$directory of the image is not a directory"
  made+=("$root/$directory")
done

# Sets found to where a path of the guest leads. False when a directory on the way is missing or is none.
resolve() {
  local rest=$1 part link hops=0
  found=
  while [[ -n $rest ]]; do
    part=${'$'}{rest%%/*}
    [[ $rest == */* ]] && rest=${'$'}{rest#*/} || rest=
    case $part in
    '' | .) continue ;;
    ..)
      found=${'$'}{found%/*}
      continue
      ;;
    esac
    case $found/$part in
    /dev | /dev/* | /proc | /proc/* | /run | /run/* | /tmp | /tmp/*)
      found+=/$part
      continue
      ;;
    esac
    if [[ -L $root$found/$part ]]; then
      ((++hops <= 40)) || return 1
      link=$(readlink -- "$root$found/$part" && echo .)
      link=${'$'}{link%$'\n'.}
      [[ $link == /* ]] && found=
      rest=$link/$rest
    elif [[ -d $root$found || -z $found ]]; then
      found+=/$part
    else
      return 1
    fi
  done
  [[ -n $found ]]
}

# Adds a bind to options; makes what it is mounted on when the guest has no such thing.
bind() {
  local option=$1 source=$2 target=$3 found
  resolve "$target" || return 1
  case $found in
  /dev | /proc | /run | /tmp) return 1 ;;
  /dev/* | /proc/* | /run/* | /tmp/*) ;;
  *)
    if [[ ! -e $root$found ]]; then
      if [[ -d $source ]]; then mkdir -- "$root$found"; else (set -C && : >"$root$found"); fi 2>/dev/null || return 1
      made+=("$root$found")
    fi
    ;;
  esac
  options+=($option "$source" "$found")
}

options=()
while ((binds-- > 0)); do
  case $1 in
  /etc/hosts | /etc/resolv.conf) [[ ! -e $1 ]] || bind --ro-bind "$1" "$2" ;;
  *)
    [[ -e $1 ]] || fail "$1: no such file or directory"
    bind --ro-bind "$1" "$2" || fail "$2: cannot be put there in the image"
    ;;
  esac
  shift 2
done
if [[ -d $root/usr/sbin ]]; then bind '--perms 0755 --ro-bind-data' 4 /usr/sbin/policy-rc.d; fi

exec 3<&0 </dev/null
exec 4< <(printf '#!/bin/sh\nexit 101\n')
if [[ -n $filter ]]; then
  exec 5< <(printf %b "$filter")
  options+=(--seccomp 5)
fi
exec 6> >(exec cat) 7> >(exec cat >&2)
bwrap --args 3 "${'$'}{options[@]}" -- "$@" >&6 2>&7 6>&- 7>&-
`;
