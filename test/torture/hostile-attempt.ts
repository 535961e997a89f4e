import { readFileSync } from 'node:fs';
import type { CliOptions, Home } from '../support/cli.ts';
import { descendantsOf } from '../support/processes.ts';

/** What an attempt came to; null is a complaint less. */
export interface Attempt {
  status: number;
  /** Everything it printed. */
  said: string;
  complaint: string | null;
}

/** Many times what any of them takes here. */
const TIMEOUT_MS = 120_000;
/** A command takes 100 MiB; its tools less. */
const MEMORY_BYTES = 500 * 2 ** 20;
const LOOK_MS = 40;
/** Documented: done, or why not. 1 would be a bug of ours; a signal ends none of them. */
const DOCUMENTED = [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
/** A line of a JavaScript stack. */
const STACK = /^\s+at .+:\d+:\d+\)?$/mu;

/** The most that a process has had in memory so far, in bytes (proc(5), VmHWM of status); 0 once it has ended. */
function peakMemory(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Runs a command on something hostile: whatever it makes of it, in bounded time and memory, and says so. */
export async function attempt(
  home: Home,
  args: readonly string[],
  options: CliOptions = {},
): Promise<Attempt> {
  const running = home.start(args, { timeoutMs: TIMEOUT_MS, ...options });
  let peak = 0;
  const watch = setInterval(() => {
    const pids = [running.pid, ...descendantsOf(running.pid).map(({ pid }) => pid)];
    peak = Math.max(peak, ...pids.map(peakMemory));
  }, LOOK_MS);
  const what = args.slice(0, 3).join(' ');
  try {
    const { status, stdout, stderr } = await running.result;
    const said = stdout + stderr;
    const complaint = !DOCUMENTED.includes(status)
      ? `${what}: exit ${status}: ${said}`
      : STACK.test(said)
        ? `${what}: a stack trace: ${said}`
        : status !== 0 && said === ''
          ? `${what}: exit ${status} without a word`
          : peak > MEMORY_BYTES
            ? `${what}: took ${Math.round(peak / 2 ** 20)} MiB of memory`
            : null;
    return { status, said, complaint };
  } catch (error) {
    return { status: -1, said: '', complaint: String(error) };
  } finally {
    clearInterval(watch);
  }
}

/** What a state is not as it should be, or null. */
export async function complaintOf(home: Home): Promise<string | null> {
  try {
    await home.verify();
    return null;
  } catch (error) {
    return String(error);
  }
}
