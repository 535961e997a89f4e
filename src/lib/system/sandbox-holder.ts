import { BangerError, PreflightError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { lastLines, type ProcessResult, type RunningProcess, start } from './process.ts';

/**
 * How the image is mounted. `loop`: by the kernel, as root. `fuse`: by fuse2fs, in a user namespace where the
 * caller's subordinate ids are the guest's 1 to 65535. `memory`: no image at all but a tmpfs, for either.
 */
export type MountKind = 'loop' | 'fuse' | 'memory';

export interface HolderOptions {
  kind: MountKind;
  /** What is mounted; of a tmpfs only its name. */
  image: string;
  mountpoint: string;
  signal: AbortSignal;
  /** Of a tmpfs. */
  sizeBytes?: number;
  onLine?: (line: string) => void;
}

/** The process that holds a sandbox's namespaces and mounts; what ends with it. */
export interface Holder {
  /** The first process of the PID namespace, as our own /proc numbers it: what nsenter(1) takes as its target. */
  readonly target: number;
  /** Settles when every process of the namespaces has ended; never rejects. */
  readonly ended: Promise<ProcessResult>;
  /** Why the filesystem is gone while it is still in use (fuse2fs died), or null. */
  failure(): string | null;
  /** Has it collect processes that have ended. */
  tidy(): void;
  /** Unmounts, and waits until the filesystem has been written out. */
  unmount(): Promise<void>;
  kill(): Promise<void>;
}

/**
 * Stays in the namespaces until it is told to unmount or its stdin ends, which is also how it learns of our death.
 * It is the first process of its PID namespace: when it ends the kernel kills all others, then the mount namespace
 * goes with its mounts and its loop device. stdout is for the lines that we read, stderr for what the tools say.
 *
 * Processes that lost their parent become its children: it is told when to collect them, as `jobs` does.
 * /proc is mounted anew so that nothing in here sees the host's processes.
 */
const HOLDER = `
kind=$1 image=$2 root=$3 options=$4
read -r target _ </proc/self/stat
mount -n -t proc -o nosuid,nodev,noexec proc /proc || exit 1
case $kind in
loop) mount -n -i -t ext4 -o "$options" -- "$image" "$root" </dev/null >&2 || exit 1 ;;
memory) mount -n -i -t tmpfs -o "$options" -- "$image" "$root" </dev/null >&2 || exit 1 ;;
fuse)
  { fuse2fs -f -o "$options" "$image" "$root" </dev/null >&2; echo "unmounted $?"; } &
  until mountpoint -q -- "$root"; do
    kill -0 $! 2>/dev/null || exit 1
    sleep 0.005
  done ;;
esac
echo "ready $target"
while read -r order && [ "$order" != unmount ]; do
  jobs >/dev/null
done
[ "$order" = unmount ] || exit 0
cd /
# What could not be written to a full disk long ago is told here, and nowhere else (syncfs(2)).
[ "$kind" != loop ] || sync -f -- "$root" >&2 || { echo "lost $?"; exit 1; }
umount -n -- "$root" >&2 || { echo "busy $?"; exit 1; }
case $kind in
fuse) wait $! ;;
*) echo "unmounted 0" ;;
esac
`;

/**
 * The file is thrown away after a crash, so the journal need not wait for the disk; nodev, because the image's
 * device nodes are the host's devices; errors, because an image may ask for a panic of the kernel (tune2fs(8), -e).
 */
export const LOOP_MOUNT_OPTIONS = 'nodev,noatime,barrier=0,errors=remount-ro';
/**
 * How fuse2fs(1) mounts:
 *
 * - allow_other, default_permissions: or every guest user but root is locked out, and permissions go unchecked.
 * - fakeroot: the kernel has checked; fuse2fs checking again knows one group of a user and refuses the others.
 * - no_default_opts: the defaults put the image's path among the options, where a comma would end it.
 * - attr_timeout=0 and no kernel_cache (both its defaults' opposite) or auto_cache: each name of a hard link is an
 *   inode of its own to the kernel, and with any of these one name reads what was there before a write to another.
 * - entry_timeout, negative_timeout: names change by nobody else's hand, so what is known of one stays true.
 */
const FUSE_OPTIONS = [
  'allow_other,default_permissions,fakeroot,nodev',
  'no_default_opts,use_ino,big_writes',
  'attr_timeout=0,entry_timeout=86400,negative_timeout=86400',
].join(',');
/** What fuse2fs says of every image with a journal. It writes none; an interrupted stage is thrown away. */
const USUAL_COMPLAINT = /Writing to the journal is not supported\.$/u;

/** A tmpfs as a root directory; nodev as above. Its size follows. */
const MEMORY_OPTIONS = 'mode=0755,nodev,size=';

const NAMESPACES = ['--mount', '--pid', '--fork', '--kill-child=KILL', '--propagation', 'private'];

/**
 * Mounts an image in namespaces of its own.
 * @throws BangerError `tool_failed` when they or the mount could not be made; `preflight_failed` without a loop device.
 */
export async function startHolder(options: HolderOptions): Promise<Holder> {
  const { kind, image, mountpoint, signal, onLine } = options;
  signal.throwIfAborted();
  const users = process.geteuid?.() === 0 ? [] : ['--map-auto', '--map-root-user'];
  const mountOptions = {
    loop: `loop,${LOOP_MOUNT_OPTIONS}`,
    fuse: FUSE_OPTIONS,
    memory: `${MEMORY_OPTIONS}${options.sizeBytes ?? 0}`,
  }[kind];
  const protocol = new HolderLines();
  let kill = (): void => {};
  const child = await start(
    'unshare',
    [...users, ...NAMESPACES, '--', '/bin/sh', '-c', HOLDER, 'holder', kind, image, mountpoint, mountOptions],
    {
      stdin: 'pipe',
      onLine: (line, stream) => {
        if (stream === 'stdout') {
          protocol.take(line);
          // A step that does not touch the filesystem would go on for as long as it likes.
          if (protocol.target !== null && protocol.failure() !== null) kill();
        } else if (!USUAL_COMPLAINT.test(line)) onLine?.(line);
      },
    },
  );
  // A holder that has died makes writing to it fail; `ended` is what tells.
  child.stdin?.on('error', () => {});
  let over = false;
  kill = (): void => {
    // Its number may be another's by then.
    if (!over) child.kill('SIGKILL');
    child.stdin?.end();
  };
  signal.addEventListener('abort', kill, { once: true });
  const ended = child.exited.then((result) => {
    over = true;
    signal.removeEventListener('abort', kill);
    protocol.end();
    return result;
  });

  await protocol.ready;
  if (protocol.target === null) {
    const result = await ended;
    signal.throwIfAborted();
    throw mountFailed(image, result);
  }
  return makeHolder(child, protocol.target, protocol, ended, { image, kill });
}

function makeHolder(
  child: RunningProcess,
  target: number,
  protocol: HolderLines,
  ended: Promise<ProcessResult>,
  { image, kill }: { image: string; kill: () => void },
): Holder {
  return {
    target,
    ended,
    failure: () => protocol.failure(),
    tidy() {
      child.stdin?.write('tidy\n');
    },
    async unmount() {
      protocol.expectEnd();
      child.stdin?.end('unmount\n');
      const result = await ended;
      if (result.exitCode !== 0 || protocol.status !== 0) {
        const status = protocol.status ?? result.exitCode;
        const said = complaints(result);
        const why = said === '' ? '' : `: ${said}`;
        throw new BangerError('tool_failed', `${image}: could not be unmounted (status ${status})${why}`, {
          details: { status },
        });
      }
    },
    async kill() {
      kill();
      await ended;
    },
  };
}

/** What the holder says on its stdout: `ready PID`, `unmounted STATUS`, `busy STATUS`, `lost STATUS`. */
class HolderLines {
  target: number | null = null;
  /** fuse2fs's or umount's own, once there is one. */
  status: number | null = null;
  readonly ready: Promise<void>;
  #settle: () => void = () => {};
  #ending = false;

  constructor() {
    this.ready = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  take(line: string): void {
    const [word, number] = line.split(' ');
    if (word === 'ready') {
      this.target = Number(number);
      this.#settle();
    } else if (word === 'unmounted' || word === 'busy' || word === 'lost') {
      this.status = Number(number);
    }
  }

  expectEnd(): void {
    this.#ending = true;
  }

  end(): void {
    this.#settle();
    if (this.target !== null && !this.#ending) this.status ??= 137;
  }

  failure(): string | null {
    if (this.#ending || this.status === null) return null;
    return `the image's filesystem was unmounted under it (status ${this.status})`;
  }
}

function complaints({ stderr }: ProcessResult): string {
  return lastLines(stderr, 5)
    .filter((line) => !USUAL_COMPLAINT.test(line))
    .map(oneLine)
    .join('\n');
}

/** What mount(8) says when there is no free loop device and none can be made. */
const NO_LOOP_DEVICE = /failed to setup loop device|could not find any free loop device/u;

function mountFailed(image: string, result: ProcessResult): BangerError {
  const said = complaints(result);
  if (NO_LOOP_DEVICE.test(said)) {
    return new PreflightError(image, [
      {
        message: `no loop device is free and none can be made: ${said}`,
        mend: 'losetup --list',
      },
    ]);
  }
  const why = said === '' ? `unshare ended with status ${result.exitCode}` : said;
  return new BangerError('tool_failed', `${image}: could not be mounted: ${why}`, {
    hints: ['banger doctor'],
    details: { status: result.exitCode },
  });
}
