import { GUEST_PATHS } from '../system/guest-paths.ts';

/** What a step finds in its place, of what the guest has already. */
export type Place =
  /** `deep`: directories above it are made. `optional`: without it where it cannot be there. */
  | { kind: 'plain' | 'deep' | 'optional'; source: string; target: string; writable: boolean }
  | { kind: 'tmpfs'; target: string; sizeBytes: number | null }
  | { kind: 'alone'; target: string };

/** A file in the guest's memory, for as long as a step runs. */
export interface MemoryFile {
  path: string;
  content: Buffer;
  mode: number;
}

export interface StepScriptOptions {
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  network: 'host' | 'none';
  tmp: 'own' | 'image';
  places: readonly Place[];
  files: readonly MemoryFile[];
  /** Where it has a terminal: the one that it reads and writes. */
  terminal: string | null;
}

/** Where the agent mounts the image. */
export const IMAGE = '/image';
/** Where busybox is for what is left to do within the image's own root; seen by the step, too. */
const BOX = '/run/.banger/busybox';
/** On a disk: it may have to hold more than the memory. */
const OWN_TMP = '/scratch/tmp';
const INNER = '/memory/inner';
/** busybox's unshare would end itself by the signal that a status stands for, be it SIGSTOP. */
const STATUS = '/memory/status';
/** Its status where the step could not be begun. */
const NOT_BEGUN = 125;

/**
 * A script for busybox's sh that carries out a step as root of the guest, as sandbox-step-script.ts does: its own /dev, /proc,
 * /run and, where that is wanted, /tmp; processes, mounts and a host name of its own, and no network where it is to have none.
 * What has to be made in the image for that is taken away after it. It may do whatever the kernel lets root do.
 */
export function stepScript(options: StepScriptOptions): string {
  const { places, files, network, tmp, terminal } = options;
  const session = terminal === null ? '' : 'setsid -c ';
  const streams = terminal === null ? '' : ` <${terminal} >${terminal} 2>&1`;
  return `
root=${IMAGE} tmp=${tmp === 'own' ? 'own' : ''} made=0
remember() {
  made=$((made + 1))
  eval "made_$made=\\$1"
}
fail() {
  printf 'sandbox: %s\\n' "$1" >&2
  tidy
  exit ${NOT_BEGUN}
}
# What was made last goes first.
tidy() {
  while [ "$made" -gt 0 ]; do
    eval "path=\\$made_$made"
    if [ -d "$path" ]; then rmdir -- "$path" 2>/dev/null; elif [ ! -s "$path" ]; then rm -f -- "$path"; fi
    made=$((made - 1))
  done
  rm -rf -- ${OWN_TMP}
  rm -f -- ${[INNER, ...files.map(({ path }) => path)].map(quote).join(' ')}
}
${GUEST_PATHS}
# Sets found to where something is to be mounted, which is a directory or a file; false where it cannot be there.
prepare() {
  resolve "$1" "$2" || return 1
  case $found in
  /dev | /proc) return 1 ;;
  /run | /tmp) [ -n "$2" ] || return 1 ;;
  esac
  if ! is_ours "$found" && [ ! -e "$root$found" ]; then
    if [ "$3" = directory ]; then
      mkdir -- "$root$found" 2>/dev/null || return 1
    else
      (set -C && : >"$root$found") 2>/dev/null || return 1
    fi
    remember "$root$found"
  fi
}
kind_of() { if [ -d "$1" ]; then echo directory; else echo file; fi; }
for directory in dev proc run tmp; do
  [ -d "$root/$directory" ] && [ ! -L "$root/$directory" ] && continue
  mkdir -- "$root/$directory" 2>/dev/null || fail "/$directory of the image is not a directory"
  [ "$directory" != tmp ] || chmod 1777 -- "$root/$directory"
  remember "$root/$directory"
done
${tmp === 'own' ? `mkdir -m 1777 -- ${OWN_TMP}` : ''}
${files.map(memoryFile).join('')}
${places.map(prepared).join('')}
${memoryFile({ path: INNER, content: Buffer.from(innerScript(options)), mode: 0o600 })}
rm -f -- ${STATUS}
${session}unshare -m -p -f -u -i${network === 'none' ? ' -n' : ''} sh ${INNER}${streams}
status=$?
[ ! -f ${STATUS} ] || status=$(cat ${STATUS})
tidy
exit "$status"
`;
}

/** Quotes a word for sh. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function memoryFile({ path, content, mode }: MemoryFile): string {
  const name = quote(path);
  // Nothing but base64 is in it, so nothing in it is the end of it.
  return `base64 -d >${name} <<'-'
${content.toString('base64')}
-
chmod ${mode.toString(8)} ${name}
`;
}

/** Finds where a place is, before anything is mounted over the image; `found_N` tells the script that mounts. */
function prepared(place: Place, index: number): string {
  const target = quote(place.target);
  const keep = `export found_${index}="$found"`;
  const refused = `fail ${quote(`${place.target}: cannot be put there in the image`)}`;
  switch (place.kind) {
    case 'optional':
      return `if prepare ${target} '' "$(kind_of ${quote(place.source)})"; then ${keep}; fi\n`;
    case 'plain':
    case 'deep': {
      const deep = place.kind === 'deep' ? 'yes' : "''";
      return `prepare ${target} ${deep} "$(kind_of ${quote(place.source)})" || ${refused}\n${keep}\n`;
    }
    case 'tmpfs':
      return `prepare ${target} yes directory || ${refused}\n${keep}\n`;
    case 'alone':
      return `resolve ${target} '' && ! is_ours "$found" && [ -d "$root$found" ] ||
  fail ${quote(`${place.target}: is not a directory of the image`)}
${keep}
`;
  }
}

const DEVICES = [
  ['null', 1, 3],
  ['zero', 1, 5],
  ['full', 1, 7],
  ['random', 1, 8],
  ['urandom', 1, 9],
  ['tty', 5, 0],
] as const; // Linux, Documentation/admin-guide/devices.txt

/** The same as bubblewrap's --dev (bwrap(1)). */
const MOUNT_DEVICES = `
mount -t tmpfs -o mode=755,nosuid tmpfs ${IMAGE}/dev
${DEVICES.map(([name, major, minor]) => `mknod -m 666 ${IMAGE}/dev/${name} c ${major} ${minor}`).join('\n')}
ln -s /proc/self/fd ${IMAGE}/dev/fd
ln -s /proc/self/fd/0 ${IMAGE}/dev/stdin
ln -s /proc/self/fd/1 ${IMAGE}/dev/stdout
ln -s /proc/self/fd/2 ${IMAGE}/dev/stderr
ln -s /proc/kcore ${IMAGE}/dev/core
mkdir ${IMAGE}/dev/shm ${IMAGE}/dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs ${IMAGE}/dev/shm
if mount -t devpts -o newinstance,ptmxmode=666,mode=620,nosuid,noexec devpts ${IMAGE}/dev/pts; then
  ln -s pts/ptmx ${IMAGE}/dev/ptmx
fi
`;

/**
 * Runs as the first process of the step's own: when it ends all others do. busybox takes its own programs for those of the
 * guest wherever it is asked for one without a slash, so PATH is gone through here, as execvp(3) does.
 */
const START = `
cd -- "$1" || exit 1
shift
unset OLDPWD SHLVL
case $1 in
*/*) exec "$@" ;;
esac
name=$1
shift
set -f
IFS=:
for directory in $PATH; do
  if [ -f "$directory/$name" ] && [ -x "$directory/$name" ]; then exec "$directory/$name" "$@"; fi
done
printf 'sandbox: %s: No such file or directory\\n' "$name" >&2
exit 1
`;

function innerScript({ argv, env, cwd, network, tmp, places }: StepScriptOptions): string {
  const variables = Object.entries({ ...env, PWD: cwd }).map(([name, value]) => quote(`${name}=${value}`));
  return `
cannot() {
  echo "sandbox: the step's mounts could not be made" >&2
  exit ${NOT_BEGUN}
}
place() {
  if [ -d "$1" ]; then
    mkdir -p -- "$2"
  elif [ ! -e "$2" ]; then
    mkdir -p -- "\${2%/*}"
    : >"$2"
  fi
  mount -o bind -- "$1" "$2"
}
set -e
trap cannot EXIT
hostname localhost
mount -t proc -o nosuid,nodev,noexec proc ${IMAGE}/proc
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs ${IMAGE}/run
mkdir -m 1777 ${IMAGE}/run/lock
${tmp === 'own' ? `mount -o bind ${OWN_TMP} ${IMAGE}/tmp\nmount -o remount,bind,nosuid,nodev ${IMAGE}/tmp` : ''}
${MOUNT_DEVICES}
${network === 'none' ? 'ip link set lo up' : ''}
place /bin/busybox ${IMAGE}${BOX}
${places.map(mounted).join('')}
cd ${IMAGE}
mount -o move . /
set +e
trap - EXIT
# It would say what signal ended the step.
exec 6>&2 2>/dev/null
/bin/env -i ${variables.join(' ')} /bin/chroot . ${BOX} sh -c ${quote(START)} sh ${quote(cwd)} \\
  ${argv.map(quote).join(' ')} 2>&6 6>&-
echo "$?" >${STATUS}
`;
}

function mounted(place: Place, index: number): string {
  const at = `"${IMAGE}$found_${index}"`;
  switch (place.kind) {
    case 'plain':
    case 'deep':
    case 'optional': {
      const bind = `place ${quote(place.source)} ${at}`;
      const all = place.writable ? bind : `${bind}\n  mount -o remount,bind,ro ${at}`;
      return place.kind !== 'optional' ? `${all}\n` : `if [ -n "$found_${index}" ]; then\n  ${all}\nfi\n`;
    }
    case 'tmpfs': {
      const size = place.sizeBytes === null ? '' : `,size=${place.sizeBytes}`;
      return `mkdir -p -- ${at}\nmount -t tmpfs -o mode=1777,nosuid,nodev${size} tmpfs ${at}\n`;
    }
    case 'alone':
      // First, or it would be as read-only as what it is bound from.
      return `mount -o bind ${at} ${at}\nmount -o remount,bind,ro ${IMAGE}\n`;
  }
}
