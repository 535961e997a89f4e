import { randomBytes } from 'node:crypto';
import { copyFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { lookup } from '../ext4/lookup.ts';
import { withVolume } from '../ext4/volume.ts';
import { editExt4, notMade, ownershipCommands, quote } from '../system/debugfs.ts';
import { reportingFunctions } from './guest-report.ts';

/** The virtio port that it reports to. */
export const PORT_NAME = 'banger';
/** What an agent and what its checks print take at most, but for checks that print without end. */
export const AGENT_BYTES = 8 * 2 ** 20;
/** Of what a check prints, the last so many bytes are reported. */
const OUTPUT_BYTES = 16 * 1024;
/** Where a kernel looks for an init (Linux, init/main.c, kernel_init). */
const INITS = ['/sbin/init', '/etc/init', '/bin/init', '/bin/sh'];
/** What a check finds programs in (environ(7); Debian's root has the same). */
const CHECK_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** An agent in a guest that tells how it boots. */
export interface BootAgent {
  /** What the kernel is to start first (`init=`). */
  init: string;
  /** Which reports are of this agent. */
  token: string;
}

export interface BootAgentOptions {
  /** A statically linked busybox. */
  busybox: string;
  /** Commands of the guest's own shell, run in their order once it is up. */
  checks: readonly string[];
  signal?: AbortSignal;
}

/**
 * Puts an agent into a root filesystem that is to be thrown away: a directory of its own, with a program that the kernel
 * starts in place of the guest's init, and which becomes that init once it has left the agent behind. Reports: `started`
 * with the uptime in seconds and the kernel's log; `up` with the uptime when the guest's init began, and now, the state and,
 * where units have failed, their names;
 * `check` with index and status, then what was printed; `done`.
 * @throws BangerError `preflight_failed` for one whose journal was not replayed; `tool_failed`, as when it is full
 */
export async function addBootAgent(rootfs: string, options: BootAgentOptions): Promise<BootAgent> {
  const token = randomBytes(8).toString('hex');
  const directory = `/.banger-${token}`;
  const agent: BootAgent = { init: `${directory}/init`, token };
  const files: Record<string, string> = {
    init: initScript(directory, token),
    agent: agentScript(directory, { token, checks: options.checks.length }),
    ...Object.fromEntries(options.checks.map((check, index) => [`check-${index}`, `${check}\n`])),
  };
  const write = async (scratch: string): Promise<string[]> => {
    await copyFile(options.busybox, join(scratch, 'busybox'));
    for (const [name, text] of Object.entries(files)) await writeFile(join(scratch, name), text);
    return [
      `mkdir ${directory}`,
      ...ownershipCommands(directory, 'directory', { mode: 0o755, uid: 0, gid: 0 }),
      `cd ${directory}`,
      ...['proc', 'out'].map((name) => `mkdir ${name}`),
      ...['busybox', ...Object.keys(files)].flatMap((name) => [
        `write ${quote(join(scratch, name))} ${name}`,
        ...ownershipCommands(name, 'file', { mode: 0o755, uid: 0, gid: 0 }),
      ]),
    ];
  };
  await editExt4(rootfs, write, options.signal ? { signal: options.signal } : {});
  await withVolume(rootfs, (volume) => {
    for (const name of ['busybox', ...Object.keys(files)]) {
      const made = lookup(volume, `${directory}/${name}`, { follow: false });
      if (made?.type !== 'file' || made.mode !== 0o755)
        throw notMade(rootfs, `${basename(directory)}/${name}`);
    }
  });
  return agent;
}

/** Applets are called by the one busybox: what else is in PATH is the guest's. */
const bb = (directory: string): string => `${directory}/busybox`;

/**
 * Standard streams are those that the kernel opened, if there is a console. Told before the guest's init has a chance to
 * die; what that takes is in no phase. The agent is in a session of its own, which no hangup of a terminal reaches.
 */
function initScript(directory: string, token: string): string {
  const busybox = bb(directory);
  return `#!${busybox} sh
${reportingFunctions({ busybox, token, port: PORT_NAME })}
${busybox} mount -t proc proc ${directory}/proc
read -r uptime _ <${directory}/proc/uptime
report started "$uptime" "$(${busybox} dmesg 2>/dev/null | ${busybox} grep -e ' as init process')"
read -r uptime _ <${directory}/proc/uptime
${busybox} umount ${directory}/proc
${busybox} setsid ${busybox} sh ${directory}/agent "$count" "$uptime" <${directory}/init &
for init in ${INITS.join(' ')}; do
  [ -x "$init" ] && exec "$init" "$@"
done
echo "no init was found" >&2
`;
}

function agentScript(directory: string, { token, checks }: { token: string; checks: number }): string {
  const busybox = bb(directory);
  return `${reportingFunctions({ busybox, token, port: PORT_NAME })}
count=$1
started=$2

# Children of the first process that lead a session with a terminal: somebody may log in, or has a shell.
has_terminal() {
  for process in /proc/[0-9]*; do
    read -r line <"$process/stat" 2>/dev/null || continue
    set -- \${line##*) }
    [ "$2" = 1 ] && [ "$4" = "\${process#/proc/}" ] && [ "$5" != 0 ] && return 0
  done
  return 1
}

state=
failed=
until [ -n "$state" ]; do
  if [ -d /run/systemd/system ]; then
    said=$(systemctl is-system-running 2>/dev/null)
    case $said in
    running | degraded | maintenance) state=$said ;;
    esac
  elif has_terminal; then
    state=terminal
  fi
  [ -n "$state" ] || ${busybox} sleep 0.2
done
[ "$state" = running ] || [ "$state" = terminal ] ||
  failed=$(systemctl list-units --failed --plain --no-legend 2>/dev/null | ${busybox} cut -d' ' -f1)
read -r now _ </proc/uptime
report up "$started" "$now" "$state" "$failed"

index=0
while [ "$index" -lt ${checks} ]; do
  out=${directory}/out/$index
  # Behind a pipe a check ends when all have ended that it left behind; a file lets them go on.
  env -i HOME=/root PATH=${CHECK_PATH} TERM=dumb /bin/sh ${directory}/check-$index >"$out" 2>&1 </dev/null
  status=$?
  report check "$index" "$status" "$(${busybox} tail -c ${OUTPUT_BYTES} "$out")"
  index=$((index + 1))
done
report done
`;
}
