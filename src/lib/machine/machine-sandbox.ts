import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BangerError } from '../errors.ts';
import { readGuestSettings } from '../system/apt-settings.ts';
import { cloneWritten } from '../system/clone.ts';
import { boundedStore, lastLines, run, splitLines, toolFailed } from '../system/process.ts';
import { removeFile } from '../system/remove.ts';
import { requireRoom } from '../system/room.ts';
import { APT_SETTINGS, type Sandbox, type StepOptions } from '../system/sandbox.ts';
import { requireWrittenOut } from '../system/sandbox-copy.ts';
import { guestEnvironment } from '../system/sandbox-guest.ts';
import { formatDuration } from '../text.ts';
import { attachConsole } from './console.ts';
import { GuestCopies, performOrFail } from './guest-copies.ts';
import { HostTools, pour } from './host-tools.ts';
import { initramfsOf } from './initramfs.ts';
import { guestHosts, guestResolvConf, NETWORK_SCRIPT, urlsForGuest } from './machine-network.ts';
import type { ModuleTree } from './module-tree.ts';
import { type Accelerator, type RunningMachine, startMachine } from './qemu.ts';
import { STEP_APPLETS, STEP_PORTS, stepAgentScript } from './step-agent.ts';
import { StepChannel } from './step-channel.ts';
import { IMAGE, type MemoryFile, type Place, type StepScriptOptions, stepScript } from './step-script.ts';
import { unnamedFile } from './unnamed-file.ts';

/** The machine that steps are carried out in. */
export interface StepMachine {
  /** Boots by itself or with drivers among the modules. */
  kernel: string;
  /** Null for a kernel that has all its drivers built in. */
  modules: ModuleTree | null;
  /** A statically linked busybox. */
  busybox: string;
  /** Bytes. */
  memory: number;
  cpus: number;
  accelerator: Accelerator;
}

export interface MachineSandboxOptions {
  /** An ext4 file whose journal is empty, mounted read-write by the guest. Files beside it are made and removed. */
  image: string;
  network: 'host' | 'none';
  machine: StepMachine;
  signal: AbortSignal;
  /** What the machine itself has to say, and its console once it is up, for the build log. */
  onLine?: (line: string) => void;
}

/** How long a kernel may take to come to its first process, emulated on a busy host, in milliseconds. */
const BOOT_MS = 180_000;
/** How many lines of the console tell why a machine ended. */
const LAST_LINES = 10;
/** What Linux says of its own end (kernel/panic.c). */
const KERNEL_GAVE_UP = /Kernel panic - not syncing/u;
/** Of the disks for what is thrown away: sparse files, of which no more is there than is written. */
const SPARSE_BYTES = 64 * 2 ** 30;
/** Without a journal, and without tables that are not needed yet: nothing of it is ever read again. */
const SCRATCH_OPTIONS = [
  '-q',
  '-F',
  '-t',
  'ext4',
  '-O',
  '^has_journal',
  '-m',
  '0',
  '-E',
  'lazy_itable_init=1,nodiscard',
];
/** What is interrupted is thrown away, so the journal need not wait for the disk. */
const MOUNT_OPTIONS = 'noatime,barrier=0,errors=remount-ro';
const BUSYBOX_IN_GUEST = '/bin/busybox';
const POLICY = { path: '/memory/policy', content: Buffer.from('#!/bin/sh\nexit 101\n'), mode: 0o755 };
const TERMINAL = '/dev/ttyS0';

const BEGIN_SCRIPT = `
tries=0
while [ ! -b /dev/vdc ] && [ "$tries" -lt 100 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
mount -t ext4 -o ${MOUNT_OPTIONS} /dev/vda ${IMAGE} || exit 1
mount -t ext4 -o noatime,noinit_itable,discard /dev/vdb /scratch || exit 1
${NETWORK_SCRIPT}
exit 0
`;

/**
 * Boots a machine with an image's kernel, to run steps in it: the host's kernel sees nothing of the filesystem, and the guest
 * nothing of the host's but what goes through a port.
 * @throws BangerError `tool_failed` when it does not come up, or cannot mount the image
 */
export async function openMachineSandbox(options: MachineSandboxOptions): Promise<Sandbox> {
  const { image, signal } = options;
  const [aptSettings, tools] = await Promise.all([readGuestSettings(signal), HostTools.find(signal)]);
  const disks = disksOf(image);
  await run('truncate', ['-s', String(SPARSE_BYTES), '--', disks.scratch, disks.tape], { signal });
  await run('mke2fs', [...SCRATCH_OPTIONS, disks.scratch], { signal });
  const guest = await Guest.start(options);
  try {
    const sandbox = new MachineSandbox(options, guest, tools, urlsForGuest(aptSettings));
    await guest.comeUp();
    await performOrFail(guest.channel, BEGIN_SCRIPT);
    return sandbox;
  } catch (error) {
    await guest.end();
    for (const path of Object.values(disks)) removeFile(path);
    signal.throwIfAborted();
    requireRoom(image);
    throw error;
  }
}

/** A machine with an agent that carries out scripts. */
class Guest {
  readonly channel: StepChannel;
  readonly machine: RunningMachine;
  isUp = false;
  /** Where the console is shown, besides. */
  show: (bytes: Buffer) => void = () => {};
  readonly #said: () => string;
  #isExpected = false;

  static async start(options: MachineSandboxOptions): Promise<Guest> {
    const { image, network, signal, onLine } = options;
    const { kernel, modules, busybox, memory, cpus, accelerator } = options.machine;
    const { scratch, tape } = disksOf(image);
    const token = randomBytes(16).toString('hex');
    const script = stepAgentScript(token);
    const initramfs = await initramfsOf({ busybox, modules, script, applets: STEP_APPLETS });
    const initrd = unnamedFile(Buffer.concat(initramfs));
    const lines = splitLines((line) => {
      // Of a machine that comes up nobody needs to know how.
      if (guest?.isUp) onLine?.(line.replaceAll('\r', ''));
    });
    let said = '';
    let guest: Guest | undefined;
    const machine = await startMachine({
      ...{ kernel, initrd: initrd.path, memory, cpus, accelerator, signal },
      commandLine: ['quiet', 'loglevel=4'],
      disks: [image, scratch, tape].map((path) => ({ path })),
      network: network === 'none' ? null : {},
      channels: STEP_PORTS,
      onConsole(bytes) {
        said = (said + bytes.toString('latin1')).slice(-16 * 1024);
        lines.write(bytes);
        guest?.show(bytes);
      },
    });
    void machine.exited.then(() => initrd.close());
    guest = new Guest(machine, token, () => said);
    return guest;
  }

  private constructor(machine: RunningMachine, token: string, said: () => string) {
    this.machine = machine;
    this.#said = said;
    this.channel = new StepChannel(machine, token, this.#gone());
  }

  /** @throws BangerError `tool_failed` when it does not */
  async comeUp(): Promise<void> {
    const late = new AbortController();
    const tooLate = sleep(BOOT_MS, undefined, { signal: late.signal }).then(() => {
      throw this.#failed(`did not come up within ${formatDuration(BOOT_MS)}`);
    });
    tooLate.catch(() => {});
    try {
      await Promise.race([this.channel.ready(), tooLate]);
      this.isUp = true;
    } finally {
      late.abort();
    }
  }

  async end(): Promise<void> {
    this.#isExpected = true;
    this.machine.cutPower();
    await this.machine.exited;
  }

  async #gone(): Promise<never> {
    const { stderr } = await this.machine.exited;
    if (this.#isExpected) return new Promise(() => {});
    throw this.#failed('ended', stderr);
  }

  #failed(what: string, stderr = ''): BangerError {
    const all = lastLines(`${this.#said()}\n${stderr}`, Number.POSITIVE_INFINITY);
    // What follows it is of use to those who mend kernels.
    const cause = all.filter((line) => KERNEL_GAVE_UP.test(line)).slice(0, 1);
    const lines = (cause.length > 0 ? cause : all.slice(-LAST_LINES)).map((line) => `\n  | ${line}`);
    return new BangerError('tool_failed', `the machine that carries out the steps ${what}${lines.join('')}`, {
      hints: ['give it more memory: --memory 2G', 'banger doctor'],
    });
  }
}

class MachineSandbox implements Sandbox {
  readonly #options: MachineSandboxOptions;
  readonly #guest: Guest;
  readonly #tools: HostTools;
  readonly #copies: GuestCopies;
  readonly #aptSettings: string;

  constructor(options: MachineSandboxOptions, guest: Guest, tools: HostTools, aptSettings: string) {
    this.#options = options;
    this.#guest = guest;
    this.#tools = tools;
    this.#aptSettings = aptSettings;
    const present = { [options.machine.busybox]: BUSYBOX_IN_GUEST };
    const tape = { path: disksOf(options.image).tape, size: SPARSE_BYTES, device: '/dev/vdc' };
    this.#copies = new GuestCopies({ channel: guest.channel, tools, tape, present });
  }

  async run(argv: readonly string[], options: StepOptions = {}) {
    const { input, onLine } = options;
    const script = await this.#script(argv, options, null);
    await this.#orRoom(() => this.#copies.stepBegins());
    const startedAt = performance.now();
    const kept = { stdout: boundedStore(), stderr: boundedStore() };
    const lines = {
      stdout: splitLines((line) => onLine?.(line, 'stdout')),
      stderr: splitLines((line) => onLine?.(line, 'stderr')),
    };
    const exitCode = await this.#perform(script, {
      ...(input === undefined ? {} : { input }),
      onOutput(bytes, stream) {
        kept[stream].push(Buffer.from(bytes));
        lines[stream].write(bytes);
      },
    });
    for (const one of Object.values(lines)) one.end();
    const durationMs = performance.now() - startedAt;
    if (exitCode !== 0) this.#requireRoom();
    await this.#orRoom(() => this.#copies.stepEnded());
    const text = (pieces: Buffer[]): string => Buffer.concat(pieces).toString();
    return { exitCode, stdout: text(kept.stdout), stderr: text(kept.stderr), durationMs };
  }

  async runShell({ env = {}, cwd = '/' }: Pick<StepOptions, 'env' | 'cwd'>): Promise<void> {
    const script = await this.#script(['/bin/sh', '-i'], { env, cwd, tmp: 'image' }, TERMINAL);
    this.#guest.show = (bytes) => process.stderr.write(bytes);
    const console = attachConsole(this.#guest.machine);
    try {
      await this.#perform(script);
    } finally {
      console.detach();
      this.#guest.show = () => {};
    }
  }

  async runTool(...[file, args, options]: Parameters<Sandbox['runTool']>) {
    await this.#orRoom(() => this.#copies.settle());
    return this.#tools.run(file, args, options);
  }

  async feedTool(...[file, args, input]: Parameters<Sandbox['feedTool']>) {
    await this.#orRoom(() => this.#copies.settle());
    const result = await pour(input, await this.#tools.feed(file, args));
    this.#options.signal.throwIfAborted();
    if (result.exitCode !== 0) throw toolFailed(file, result);
    return result;
  }

  async giveTo(path: string, { uid, gid }: { uid: number; gid: number }): Promise<void> {
    if (this.#tools.hasIds) await this.#tools.run('chown', [`${uid}:${gid}`, '--', path]);
    else if (uid !== 0 || gid !== 0) {
      this.#options.onLine?.(`note: without user namespaces all files of mounts belong to the guest's root`);
    }
  }

  async copyTo(target: string) {
    const { image, signal } = this.#options;
    // Some disks free nothing; what is in their free blocks is a copy's loss of room alone.
    await this.#orRoom(() =>
      performOrFail(this.#guest.channel, `fstrim ${IMAGE} 2>/dev/null\n${remount('ro')}`),
    );
    const method = await cloneWritten(image, target, signal);
    await performOrFail(this.#guest.channel, remount('rw'));
    requireWrittenOut(image, target);
    return { method, finish: async () => {} };
  }

  async close(): Promise<void> {
    await this.#orRoom(async () => {
      await performOrFail(this.#guest.channel, `umount ${IMAGE}`);
      requireWrittenOut(this.#options.image, this.#options.image);
    });
    await this.abandon();
  }

  async abandon(): Promise<void> {
    await this.#guest.end();
    for (const path of Object.values(disksOf(this.#options.image))) removeFile(path);
  }

  async #perform(...args: Parameters<StepChannel['perform']>): Promise<number> {
    try {
      return await this.#guest.channel.perform(...args);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      throw error;
    }
  }

  /** A guest takes a full disk of ours for a broken one. */
  #requireRoom(): void {
    requireRoom(this.#options.image);
  }

  async #orRoom(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.signal.throwIfAborted();
      this.#requireRoom();
      throw error;
    }
  }

  async #script(argv: readonly string[], options: StepOptions, terminal: string | null): Promise<string> {
    const { cwd = '/', network = this.#options.network, tmp = 'own' } = options;
    const hasSettings = network !== 'none' && this.#aptSettings !== '';
    const env = {
      ...proxiesForGuest(guestEnvironment(network)),
      ...(hasSettings ? { APT_CONFIG: APT_SETTINGS } : {}),
      ...options.env,
    };
    const files: MemoryFile[] = [];
    const places: Place[] = [];
    const inMemory = (content: Buffer, mode: number): string => {
      const path = `/memory/${files.length}`;
      files.push({ path, content, mode });
      return path;
    };
    const place = (
      kind: 'plain' | 'deep' | 'optional',
      source: string,
      target: string,
      writable = false,
    ): void => {
      places.push({ kind, source, target, writable });
    };
    if (hasSettings) place('deep', inMemory(Buffer.from(this.#aptSettings), 0o644), APT_SETTINGS);
    for (const mount of options.mounts ?? []) {
      const { target } = mount;
      switch (mount.kind) {
        case 'bind': {
          const { source, writable } = mount;
          place('deep', await this.#copies.bring(source, writable ? 'returned' : 'read'), target, writable);
          break;
        }
        case 'data':
          place('deep', inMemory(mount.content, mount.mode), target, mount.writable);
          break;
        default:
          places.push(mount);
      }
    }
    for (const [path, text] of [
      ['/etc/resolv.conf', guestResolvConf()],
      ['/etc/hosts', guestHosts()],
    ] as const) {
      place('optional', inMemory(Buffer.from(text), 0o644), path);
    }
    for (const { source, target, writable = false } of options.binds ?? []) {
      place('plain', await this.#copies.bring(source, writable ? 'owned' : 'read'), target, writable);
    }
    place('optional', POLICY.path, '/usr/sbin/policy-rc.d');
    files.push(POLICY);
    const script: StepScriptOptions = { argv, env, cwd, network, tmp, places, files, terminal };
    return stepScript(script);
  }
}

/** Beside an image: a disk of the guest's own, and one by which files come and go. */
function disksOf(image: string): { scratch: string; tape: string } {
  return { scratch: `${image}.scratch`, tape: `${image}.tape` };
}

function remount(access: 'ro' | 'rw'): string {
  return `mount -o remount,${access},${MOUNT_OPTIONS} ${IMAGE}`;
}

function proxiesForGuest(env: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, urlsForGuest(value)]));
}
