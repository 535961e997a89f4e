import { StringDecoder } from 'node:string_decoder';
import { type BootAgent, PORT_NAME } from './boot-agent.ts';
import { type GuestReport, GuestReports } from './guest-report.ts';
import type { MachineOptions } from './qemu.ts';
import { startWith, type Vmm } from './vmm.ts';

/** How long each part of a boot took, in milliseconds of the guest's own clock. */
export interface BootPhases {
  kernel: number;
  /** Null where there is no initial ramdisk. */
  initrd: number | null;
  userspace: number;
}

/** What a check did in the guest. */
export interface CheckResult {
  status: number;
  /** The end of what it printed, as it is. */
  output: string;
}

export interface BootResult {
  /** How far it came; a boot that comes to `done` has run all checks. */
  reached: 'nothing' | 'init' | 'up' | 'done';
  /** Why it came no further; null for one that is done. */
  ended: 'timeout' | 'guest' | null;
  /** Null until it is up. */
  phases: BootPhases | null;
  /** systemd's word (systemctl(1), is-system-running), or `terminal` for an init that has started one; null until it is up. */
  state: string | null;
  /** Units that systemd could not start. */
  failedUnits: string[];
  checks: CheckResult[];
}

export interface BootOptions
  extends Pick<
    MachineOptions,
    'kernel' | 'initrd' | 'disks' | 'memory' | 'cpus' | 'accelerator' | 'network' | 'signal'
  > {
  vmm: Vmm;
  agent: BootAgent;
  timeoutMs: number;
  /** Each line of the console. */
  onLine: (line: string) => void;
}

/** A line of the console that does not end is broken here, in bytes. */
const LINE_BYTES = 8 * 1024;

/**
 * Boots a machine until its agent has run all checks, the guest ends, or time is up; then cuts its power. Its disks are
 * written to.
 */
export async function boot(options: BootOptions): Promise<BootResult> {
  const { vmm, agent, timeoutMs, signal, onLine, ...machineOptions } = options;
  const result: BootResult = {
    reached: 'nothing',
    ended: null,
    phases: null,
    state: null,
    failedUnits: [],
    checks: [],
  };
  const progress = new Progress(result);
  const finished = new AbortController();
  const reports = new GuestReports(agent.token, (report) => {
    progress.take(report);
    if (result.reached === 'done') finished.abort();
  });
  const fromConsole = reports.stream();
  const lines = lineSplitter(onLine, agent.token);
  const timeout = AbortSignal.timeout(timeoutMs);
  const machine = await startWith(vmm, {
    ...machineOptions,
    commandLine: ['root=/dev/vda', 'rw', `init=${agent.init}`],
    channels: [PORT_NAME],
    signal,
    onConsole(bytes) {
      fromConsole(bytes);
      lines.write(bytes);
    },
  });
  machine.channels[0]?.on('data', reports.stream());
  const ending = AbortSignal.any([finished.signal, timeout]);
  ending.addEventListener('abort', () => machine.cutPower(), { once: true });
  if (ending.aborted) machine.cutPower();
  await machine.exited;
  lines.end();
  signal.throwIfAborted();
  if (result.reached !== 'done') result.ended = timeout.aborted ? 'timeout' : 'guest';
  return result;
}

/** What reports say, put together. */
class Progress {
  readonly #result: BootResult;
  #initAt = 0;
  #kernel: number | null = null;
  #hasInitrd = false;

  constructor(result: BootResult) {
    this.#result = result;
  }

  take({ name, values }: GuestReport): void {
    const result = this.#result;
    const [first = '', second = '', third = '', fourth = ''] = values;
    switch (name) {
      case 'started':
        result.reached = 'init';
        this.#initAt = milliseconds(first);
        this.#readKernelLog(second);
        break;
      case 'up': {
        result.reached = 'up';
        result.state = third;
        result.failedUnits = fourth.split('\n').filter((unit) => unit !== '');
        const kernel = this.#kernel ?? this.#initAt;
        result.phases = {
          kernel,
          initrd: this.#hasInitrd ? Math.max(0, this.#initAt - kernel) : null,
          userspace: Math.max(0, milliseconds(second) - milliseconds(first)),
        };
        break;
      }
      case 'check':
        result.checks[Number(first)] = { status: Number(second), output: third };
        break;
      case 'done':
        result.reached = 'done';
        break;
      default:
    }
  }

  /** `[    1.234567] Run /init as init process` (Linux, init/main.c, run_init_process): first of what an initrd has. */
  #readKernelLog(text: string): void {
    const [, seconds, init] = /\[\s*(\d+\.\d+)\] Run (\S+) as init process/u.exec(text) ?? [];
    if (seconds === undefined) return;
    this.#kernel = milliseconds(seconds);
    this.#hasInitrd = init === '/init';
  }
}

function milliseconds(seconds: string): number {
  const value = Number(seconds);
  return Number.isFinite(value) ? Math.round(value * 1000) : 0;
}

/** Lines of a console, without those that are the agent's own. */
function lineSplitter(
  onLine: (line: string) => void,
  token: string,
): { write(bytes: Buffer): void; end(): void } {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  const tell = (line: string): void => {
    const text = line.replaceAll('\r', '');
    if (!text.includes(`${token}:`)) onLine(text);
  };
  return {
    write(bytes) {
      const lines = (rest + decoder.write(bytes)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) tell(line);
      if (rest.length > LINE_BYTES && !rest.includes(token)) {
        tell(rest);
        rest = '';
      }
    },
    end() {
      rest += decoder.end();
      if (rest !== '') tell(rest);
    },
  };
}
