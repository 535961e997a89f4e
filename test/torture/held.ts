import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../support/builds.ts';
import type { CliResult, Home } from '../support/cli.ts';

/** The threads of ours that make system calls on files: Node's own, and the one of its pool. */
export const THREADS = ['main', 'pool'] as const;
export type Thread = (typeof THREADS)[number];

export interface TracedRun {
  readonly pid: number;
  readonly result: Promise<CliResult>;
  /** Settles when strace has written everything that it saw. */
  readonly traced: Promise<void>;
}

/** -s 0: what is written is of no interest, and may hold what looks like a path. */
export const STRACE = ['-q', '-y', ...['-s', '0']];

/**
 * Run before the program: makes the pool's thread, then stops, so that strace can come to one thread before the
 * program's first instruction, and after Node's own start-up.
 */
const HOLD =
  "data:text/javascript,import{promises}from'node:fs';await(promises.stat('/'));process.kill(process.pid,'SIGSTOP')";
const ENV = { NODE_OPTIONS: `--import=${HOLD}`, UV_THREADPOOL_SIZE: '1' };

/** Runs the program with strace at some of its threads, and at no other. */
export async function runWithThreads(
  home: Home,
  args: readonly string[],
  threads: readonly Thread[],
  strace: readonly string[],
): Promise<TracedRun & { traceOf(thread: Thread): string }> {
  const { pid, result } = home.start(args, { env: ENV, form: 'script' });
  await until('the program held', () => /^State:\s+T/mu.test(readIfThere(`/proc/${pid}/status`)));
  const tids = { main: pid, pool: poolThread(pid) };
  const output = join(home.directory, 'trace');
  const targets = threads.flatMap((thread) => ['-p', String(tids[thread])]);
  const options = [...STRACE, '--output-separately', ...['-o', output], ...targets];
  const tracer = spawn('strace', [...options, ...strace], { stdio: 'ignore' });
  const traced = new Promise<void>((resolve) => tracer.on('close', () => resolve()));
  for (const thread of threads) {
    const status = `/proc/${pid}/task/${tids[thread]}/status`;
    await until('strace attached', () => /^TracerPid:\s+[1-9]/mu.test(readIfThere(status)));
  }
  process.kill(pid, 'SIGCONT');
  return { pid, result, traced, traceOf: (thread) => readIfThere(`${output}.${tids[thread]}`) };
}

export function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** libuv names the threads of its pool (uv_thread_setname, since 1.50). */
function poolThread(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const tid = readdirSync(tasks).find((task) => readIfThere(`${tasks}/${task}/comm`) === 'libuv-worker\n');
  if (tid === undefined) throw new Error('the program has no pool');
  return Number(tid);
}
