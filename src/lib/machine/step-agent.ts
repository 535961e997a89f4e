/** The virtio ports of a guest that carries out scripts: what it is told and its standard output; its standard error. */
export const STEP_PORTS = ['banger.run', 'banger.error'] as const;

/** What is on a port when a script's output has ended: NUL, the agent's token, a space; then a number and a newline. */
export function endMark(token: string): Buffer {
  return Buffer.from(`\0${token} `);
}

/** Programs of the agent and of the scripts that it is given. */
export const STEP_APPLETS: readonly string[] = [
  ...['blockdev', 'chmod', 'env', 'find', 'fstrim', 'head', 'hostname', 'ip', 'ln', 'mkfifo', 'mknod'],
  ...['readlink', 'rm', 'rmdir', 'setsid', 'tar', 'unshare'],
];

/**
 * What the guest runs as its first process: it carries out scripts, one after the other, and nothing of it is in the image.
 * Told by the first port: the script's length in bytes and `input` or `none`, a line; the script; where it has input, pieces of
 * that, each behind a line with its length, to one of length 0. What the script writes goes to the two ports as it comes, then
 * the mark of its end; on the first with its status. A script that does not read its input has it read all the same.
 *
 * - A port can be open but once (Linux, drivers/char/virtio_console.c, port_fops_open); who inherits it may use it.
 * - Scripts write to pipes, which what they start may open again by /dev/stdout.
 * - dd reads each piece whole and no more; busybox's head reads on.
 * - What is left of a script's processes would keep its output open: all are ended with it, but for those of the agent.
 */
export function stepAgentScript(token: string): string {
  const [run, error] = STEP_PORTS;
  return `
port() {
  tries=0
  while [ "$tries" -lt 100 ]; do
    for directory in /sys/class/virtio-ports/*; do
      if [ "$(cat "$directory/name" 2>/dev/null)" = "$1" ] && [ -c "/dev/\${directory##*/}" ]; then
        echo "/dev/\${directory##*/}"
        return
      fi
    done
    tries=$((tries + 1))
    sleep 0.1
  done
  echo "banger: there is no virtio port: this kernel lacks virtio_console" >/dev/console
  poweroff -f
}
run=$(port ${run})
error=$(port ${error})
exec 3<>"$run" 4<>"$error"
mkfifo -m 666 /output /errors
mkdir -p /image /scratch /memory
umask 022

give() {
  trap '' PIPE
  while read -r size <&3 && [ "$size" -gt 0 ]; do
    dd bs="$size" count=1 iflag=fullblock <&3 2>/dev/null
  done
}
perform() {
  cat /output >&3 3<&- 4>&- &
  output=$!
  cat /errors >&4 3<&- 4>&- &
  errors=$!
  sh /script >/output 2>/errors 3<&- 4>&-
  status=$?
  wait "$output" "$errors"
  printf '\\000%s 0\\n' ${token} >&4
  printf '\\000%s %s\\n' ${token} "$status" >&3
}
printf '\\000%s 0\\n' ${token} >&4
printf '\\000%s 0\\n' ${token} >&3
while read -r size input <&3; do
  dd bs="$size" count=1 iflag=fullblock <&3 >/script 2>/dev/null
  case $input in
  input) give | perform ;;
  *) perform </dev/null ;;
  esac
done
poweroff -f
`;
}
