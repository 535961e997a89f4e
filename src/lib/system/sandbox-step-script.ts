import { GUEST_PATHS } from './guest-paths.ts';

/**
 * Runs one step, in the holder's namespaces. Its arguments: the root, the system call filter (octal escapes), `share`
 * or nothing, `own` where /tmp is not the image's, the length of bubblewrap's options or nothing, or the file that has them
 * where stdin is a terminal, how many mounts, for each of them how it is made (`plain`, `deep`, `data`, `empty`, `alone`), its options, source and target; then the step's command. bash, because dash cannot close a
 * descriptor above 9; with --norc, because bash takes a stdin that is a socket for rshd's and runs the user's ~/.bashrc.
 *
 * stdin holds what no process list may show: what is in the mounts of data, base64, whose length is their source; then
 * bubblewrap's options, NUL-separated; after those, where their length is given, what the step itself reads. head(1) never
 * reads more than it is asked for, and bubblewrap reads its options to their end before it starts the step.
 *
 * - It dies with nsenter, whose parent is outside the PID namespace and so has the number 0 (getppid(2)).
 * - A step inherits no descriptor of ours, and writes to pipes: Node's are sockets, which /dev/stdout cannot reopen.
 * - Where a bind goes is found here, as the guest's own symbolic links say: bubblewrap would follow them on its way
 *   through the host's tree, and make missing files there. What had to be made for a mount is taken away after: a file that
 *   is still empty, a directory that still is, those above one that is `deep` as well.
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
root=$1 filter=$2 share=$3 tmp=$4 size=$5 mounts=$6
shift 6
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
    if [[ -d $path ]]; then directories=("$path" "\${directories[@]}"); elif [[ ! -s $path ]]; then files+=("$path"); fi
  done
  ((\${#files[@]} == 0)) || rm -f -- "\${files[@]}"
  ((\${#directories[@]} == 0)) || rmdir -- "\${directories[@]}" 2>/dev/null
  [[ -z $everywhere ]] || place "$everywhere"
}
trap tidy EXIT

for directory in dev proc run tmp; do
  [[ -d $root/$directory && ! -L $root/$directory ]] && continue
  mkdir -- "$root/$directory" 2>/dev/null || fail "/$directory of the image is not a directory"
  # It may be the step's own as well as a mount point.
  [[ $directory != tmp ]] || chmod 1777 -- "$root/$directory"
  made+=("$root/$directory")
done

remember() { made+=("$1"); }

${GUEST_PATHS}
# Adds the directories above a place in memory to options: bubblewrap closes those that it makes itself to all but root,
# and apt's own user would not come to a resolv.conf there, nor any other to its secrets.
open_above() {
  local above=$1 all=()
  is_ours "$above" && [[ $above != /proc/* ]] || return 0
  while above=\${above%/*} && [[ $above == /*/* ]]; do all=(--perms 0755 --dir "$above" "\${all[@]}"); done
  options+=("\${all[@]}")
}

# Adds a mount to options; makes what it is mounted on when the guest has no such thing.
add_mount() {
  local how=$1 option=$2 source=$3 deep=yes found
  [[ $how != plain ]] || deep=
  resolve "$4" "$deep" || return 1
  case $found in
  /dev | /proc) return 1 ;;
  /run | /tmp) [[ -n $deep ]] || return 1 ;;
  esac
  if ! is_ours "$found" && [[ ! -e $root$found ]]; then
    if [[ $how == empty || $how != data && -d $source ]]; then
      mkdir -- "$root$found" 2>/dev/null || return 1
    else
      (set -C && : >"$root$found") 2>/dev/null || return 1
    fi
    made+=("$root$found")
  fi
  open_above "$found"
  case $how in
  empty) options+=($option "$found") ;;
  alone) options+=(--remount-ro / --bind "$root$found" "$found") ;;
  *) options+=($option "$source" "$found") ;;
  esac
}

options=()
while ((mounts-- > 0)); do
  how=$1 option=$2 source=$3 target=$4
  shift 4
  case $how$target in
  plain/etc/hosts | plain/etc/resolv.conf)
    [[ ! -e $source ]] || add_mount plain "$option" "$source" "$target"
    continue
    ;;
  data*)
    text=$(head -c "$source")
    exec {source}< <(printf %s "$text" | base64 -d)
    text=
    ;;
  alone*)
    resolve "$target" '' && ! is_ours "$found" && [[ -d $root$found ]] || fail "$target: is not a directory of the image"
    ;;
  plain* | deep*) [[ -e $source ]] || fail "$source: no such file or directory" ;;
  esac
  add_mount "$how" "$option" "$source" "$target" || fail "$target: cannot be put there in the image"
done
[[ ! -d $root/usr/sbin ]] || add_mount plain '--perms 0755 --ro-bind-data' 4 /usr/sbin/policy-rc.d

if [[ -n $share ]]; then
  while read -r name list; do
    [[ $name != Cpus_allowed_list: ]] || everywhere=$list
  done </proc/self/status
  first=\${everywhere%%[,-]*} last=\${everywhere##*[,-]}
  place "$((first + RANDOM % (last - first + 1)))"
fi

if [[ $size == /* ]]; then
  exec 3<"$size"
elif [[ -n $size ]]; then
  exec 3< <(exec head -c "$size")
else
  exec 3<&0 </dev/null
fi
exec 4< <(printf '#!/bin/sh\\nexit 101\\n')
if [[ -n $filter ]]; then
  exec 5< <(printf %b "$filter")
  options+=(--seccomp 5)
fi
if [[ $size == /* ]]; then
  bwrap --args 3 "\${options[@]}" -- "$@"
  exit
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
