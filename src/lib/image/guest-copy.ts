/** Where the host's busybox is bound in the guest. */
export const BUSYBOX = '/run/banger/busybox';
const SOURCE = '/run/banger/source';

/**
 * Runs in the guest, so that a symbolic link there leads nowhere but into the guest. As Dockerfile's COPY: the content
 * of a directory goes into the target; a file into it where it is a directory or ends in a slash, else under its name.
 * What is replaced is removed first: cp writes through a link (/bin/id of a busybox), and keeps an old owner and mode.
 * Setuid and setgid are given again at the end: fuse2fs takes them from a file that is written to.
 */
const SCRIPT = `
set -eu
box=${BUSYBOX} source=${SOURCE} target=$1 name=$2
if [ -d "$source" ]; then
  "$box" mkdir -p "$target"
  cd "$source"
  "$box" find . ! -type d -print0 | (cd "$target" && "$box" xargs -0 -r "$box" rm -f)
else
  case $target in */) "$box" mkdir -p "$target" ;; esac
  if [ -d "$target" ]; then target=\${target%/}/$name; fi
  "$box" mkdir -p "\${target%/*}/"
  "$box" rm -f "$target"
fi
umask 0
if [ -d "$source" ]; then
  "$box" cp -dR "$source/." "$target"
  "$box" find . -type f -perm /6000 -print0 | "$box" xargs -0 -r "$box" sh -euc '
    box=$0 target=$1
    shift
    for file do "$box" chmod "$("$box" stat -c %a "$file")" "$target/$file"; done
  ' "$box" "$target"
else
  "$box" cp "$source" "$target"
  "$box" chmod "$("$box" stat -c %a "$source")" "$target"
fi
`;

/** The command that copies a file or directory of the host to `target` in the guest, owned by root, modes kept. */
export function guestCopyCommand(
  busybox: string,
  source: string,
  target: string,
  name: string,
): { argv: string[]; binds: { source: string; target: string }[] } {
  return {
    argv: [BUSYBOX, 'sh', '-c', SCRIPT, 'copy', target, name],
    binds: [busyboxBind(busybox), { source, target: SOURCE }],
  };
}

export function busyboxBind(busybox: string): { source: string; target: string } {
  return { source: busybox, target: BUSYBOX };
}

/** Succeeds where the guest has a directory; wants the busybox bound. */
export function testDirectoryCommand(path: string): string[] {
  return [BUSYBOX, 'test', '-d', path];
}
