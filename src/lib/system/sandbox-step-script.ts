/**
 * Runs one step, in the holder's namespaces. Its arguments: the root, the system call filter (octal escapes), `share`
 * or nothing, how many binds, each bind's option, source and target, the step's command. bubblewrap's options come on stdin,
 * NUL-separated, so that the guest's environment is in no process list. bash, because dash cannot close a descriptor
 * above 9; with --norc, because bash takes a stdin that is a socket for rshd's and runs the user's ~/.bashrc.
 *
 * - It dies with nsenter, whose parent is outside the PID namespace and so has the number 0 (getppid(2)).
 * - A step inherits no descriptor of ours, and writes to pipes: Node's are sockets, which /dev/stdout cannot reopen.
 * - Where a bind goes is found here, as the guest's own symbolic links say: bubblewrap would follow them on its way
 *   through the host's tree, and make missing files there. A file that had to be made for a bind is taken away after.
 * - It may be kept on one processor with fuse2fs, whose answers then come without waking another one.
 * - Debian's policy-rc.d keeps services from being started (invoke-rc.d(8)); 101 is `action forbidden`. What a step
 *   starts by other means ends with the step's PID namespace.
 */
export const STEP_SCRIPT = `
[[ $PPID -eq 0 ]] || exit 143
for fd in /proc/self/fd/*; do
  fd=\${fd##*/}
  if ((fd > 2)); then { exec {fd}>&-; } 2>/dev/null; fi
done
umask 022
root=$1 filter=$2 share=$3 binds=$4
shift 4
made=() everywhere=

fail() {
  printf 'sandbox: %s\\n' "$1" >&2
  exit 125
}

# Moves fuse2fs, the only other thing that runs in here, and this shell to some processors.
place() {
  local process
  for process in /proc/[0-9]*; do
    [[ $(<"$process/comm") == fuse2fs ]] && taskset -a -p -c "$1" "\${process##*/}"
  done
  taskset -p -c "$1" $$
} >/dev/null 2>&1

tidy() {
  local path files=() directories=()
  for path in "\${made[@]}"; do
    if [[ -d $path ]]; then directories+=("$path"); elif [[ ! -s $path ]]; then files+=("$path"); fi
  done
  ((\${#files[@]} == 0)) || rm -f -- "\${files[@]}"
  ((\${#directories[@]} == 0)) || rmdir -- "\${directories[@]}" 2>/dev/null
  [[ -z $everywhere ]] || place "$everywhere"
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
    part=\${rest%%/*}
    if [[ $rest == */* ]]; then rest=\${rest#*/}; else rest=; fi
    case $part in
    '' | .) continue ;;
    ..)
      found=\${found%/*}
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
      link=\${link%$'\\n'.}
      [[ $link != /* ]] || found=
      rest=$link/$rest
    elif [[ -d $root$found ]]; then
      found+=/$part
    else
      return 1
    fi
  done
  [[ -n $found ]]
}

# Adds a bind to options; makes what it is mounted on when the guest has no such thing.
bind() {
  local option=$1 source=$2 found
  resolve "$3" || return 1
  case $found in
  /dev | /proc | /run | /tmp) return 1 ;;
  /dev/* | /proc/* | /run/* | /tmp/*) ;;
  *)
    if [[ ! -e $root$found ]]; then
      if [[ -d $source ]]; then
        mkdir -- "$root$found" 2>/dev/null || return 1
      else
        (set -C && : >"$root$found") 2>/dev/null || return 1
      fi
      made+=("$root$found")
    fi
    ;;
  esac
  options+=($option "$source" "$found")
}

options=()
while ((binds-- > 0)); do
  case $2 in
  /etc/hosts | /etc/resolv.conf) [[ ! -e $2 ]] || bind "$1" "$2" "$3" ;;
  *)
    [[ -e $2 ]] || fail "$2: no such file or directory"
    bind "$1" "$2" "$3" || fail "$3: cannot be put there in the image"
    ;;
  esac
  shift 3
done
[[ ! -d $root/usr/sbin ]] || bind '--perms 0755 --ro-bind-data' 4 /usr/sbin/policy-rc.d

if [[ -n $share ]]; then
  while read -r name list; do
    [[ $name != Cpus_allowed_list: ]] || everywhere=$list
  done </proc/self/status
  first=\${everywhere%%[,-]*} last=\${everywhere##*[,-]}
  place "$((first + RANDOM % (last - first + 1)))"
fi

exec 3<&0 </dev/null
exec 4< <(printf '#!/bin/sh\\nexit 101\\n')
if [[ -n $filter ]]; then
  exec 5< <(printf %b "$filter")
  options+=(--seccomp 5)
fi
exec 6> >(exec cat)
out=$!
exec 7> >(exec cat >&2)
err=$!
bwrap --args 3 "\${options[@]}" -- "$@" >&6 2>&7 6>&- 7>&-
status=$?
exec 6>&- 7>&-
wait "$out" "$err"
exit "$status"
`;
