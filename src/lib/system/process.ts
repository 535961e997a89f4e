import type { ChildProcess } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { type Duplex, PassThrough, type Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { BangerError } from '../errors.ts';
import { stripControl } from '../text.ts';

/** Where cron's PATH ends, mke2fs and debugfs begin. */
const SBIN = ['/usr/sbin', '/sbin'];

/** What a tool may know of our environment; all else (NODE_OPTIONS, LANG, …) would change what it does. */
const PASSED_ON = [
  'HOME',
  'LOGNAME',
  'USER',
  'TMPDIR',
  'SSL_CERT_FILE',
  'APT_CONFIG',
  'SOURCE_DATE_EPOCH',
  'http_proxy',
  'https_proxy',
  'ftp_proxy',
  'all_proxy',
  'no_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'ALL_PROXY',
  'NO_PROXY',
];

/** How long after SIGTERM a cancelled process group gets SIGKILL, in milliseconds. */
const KILL_AFTER_MS = 3000;
/** How many bytes of each stream a result keeps; the rest is dropped from its beginning. */
const KEEP_BYTES = 4 * 1024 * 1024;
/** Where a line that does not end is broken, in UTF-16 units: whoever writes it may never end it. */
export const LINE_LIMIT = 64 * 1024;

export interface ProcessOptions {
  cwd?: string;
  /** Added to the pinned environment (PATH, LC_ALL=C and a short list of variables). */
  env?: Readonly<Record<string, string>>;
  /** Aborting it signals the whole process group: SIGTERM, then SIGKILL. */
  signal?: AbortSignal;
  /** Each line as it comes, without its newline; a very long one in pieces. */
  onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  /** What it writes to standard output as it comes, whether lines end or not. */
  onOutput?: (bytes: Buffer) => void;
}

export interface RunOptions extends ProcessOptions {
  /** Exit statuses that are not a failure (default: 0 alone). `any` leaves the judgement to the caller. */
  okExit?: readonly number[] | 'any';
}

export interface ProcessResult {
  /** 128 + n when a signal ended it, as a shell reports it. */
  exitCode: number;
  stdout: string;
  stderr: string;
  durationMs: number;
}

export interface RunningProcess {
  readonly pid: number;
  /** Open only when asked for; closing it is how a holder is told to end. */
  readonly stdin: NodeJS.WritableStream | null;
  /** The other ends of its descriptors from CHANNEL on: as many as were asked for. */
  readonly channels: readonly Duplex[];
  /** Only when asked for: what it writes, no faster than it is read. To be read, or the process killed. */
  readonly stdout: Readable | null;
  /** Settles when the process has ended; never rejects. */
  readonly exited: Promise<ProcessResult>;
  /** Signals the process group. A group that is gone is no error. */
  kill(signal: NodeJS.Signals): void;
}

/** PATH with /usr/sbin and /sbin at its end, since cron's and many users' have neither. */
export function toolPath(path = process.env.PATH ?? '/usr/bin:/bin'): string {
  const parts = path.split(':').filter((part) => part !== '');
  return [...parts, ...SBIN.filter((part) => !parts.includes(part))].join(':');
}

function toolEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = { PATH: toolPath(), LC_ALL: 'C' };
  for (const name of PASSED_ON) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return { ...env, ...extra };
}

function quote(argument: string): string {
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}

/**
 * What stands before each command: the shell that zx starts becomes the program itself, which the kernel kills when
 * we end (PR_SET_PDEATHSIG, prctl(2)); the parent check closes the gap between fork and prctl.
 */
function lifeline(): string {
  return `exec setpriv --pdeathsig KILL -- /bin/sh -c '[ "$PPID" -eq ${process.pid} ] || exit 143; exec "$@"' sh `;
}

/** Keeps the newest pieces of a stream that are pushed to it, within KEEP_BYTES; zx would keep them all. */
export function boundedStore(): Buffer[] {
  let kept = 0;
  const store: Buffer[] = [];
  store.push = (...pieces: Buffer[]): number => {
    for (const piece of pieces) {
      Array.prototype.push.call(store, piece);
      kept += piece.length;
    }
    while (kept > KEEP_BYTES && store.length > 1) kept -= store.shift()?.length ?? 0;
    return store.length;
  };
  return store;
}

export function splitLines(onLine: (line: string) => void): { write(chunk: Buffer): void; end(): void } {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  return {
    write(chunk) {
      const lines = (rest + decoder.write(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
      for (; rest.length > LINE_LIMIT; rest = rest.slice(LINE_LIMIT)) onLine(rest.slice(0, LINE_LIMIT));
    },
    end() {
      rest += decoder.end();
      if (rest !== '') onLine(rest);
    },
  };
}

export interface StartOptions extends ProcessOptions {
  /** `terminal`: it has our own, for input and output, and our process group, which may read from it. */
  stdin?: 'none' | 'pipe' | 'terminal';
  /** Gives it so many sockets, as its descriptors from CHANNEL on. */
  channels?: number;
  /** `stream`: it is read as it comes, and the result has but the end of it. */
  stdout?: 'kept' | 'stream';
}

/** The first descriptor after the standard ones. */
export const CHANNEL = 3;

/** Starts a program, in a process group of its own, that cannot outlive us. The only door to zx. */
export async function start(
  file: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<RunningProcess> {
  const { signal, onLine } = options;
  signal?.throwIfAborted();
  const { $ } = await import('zx/core');
  const [stdout, stderr] = [boundedStore(), boundedStore()];
  const startedAt = performance.now();
  const isAttached = options.stdin === 'terminal';
  const pipes = Array<'pipe'>(2 + (options.channels ?? 0)).fill('pipe');
  const command = $({
    shell: '/bin/sh',
    prefix: lifeline(),
    postfix: '',
    quote,
    quiet: true,
    verbose: false,
    nothrow: true,
    detached: !isAttached,
    preferLocal: false,
    env: toolEnvironment(options.env),
    stdio: isAttached ? 'inherit' : [options.stdin === 'pipe' ? 'pipe' : 'ignore', ...pipes],
    store: { stdout, stderr, stdall: { push: () => 0, length: 0 } as never },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const running = command`${[file, ...args]}`;
  const child = running.child as ChildProcess | undefined;
  const pid = child?.pid;
  if (child === undefined || pid === undefined) {
    const output = await running;
    throw new BangerError('tool_failed', `${file}: could not be started: ${output.message}`);
  }

  // Whoever reads more slowly than it writes holds it back; what listens besides, then waits too.
  const output = options.stdout === 'stream' ? child.stdout?.pipe(new PassThrough()) : undefined;
  if (onLine) {
    for (const name of ['stdout', 'stderr'] as const) {
      const lines = splitLines((line) => onLine(line, name));
      child[name]?.on('data', (chunk: Buffer) => lines.write(chunk)).on('end', () => lines.end());
    }
  }

  if (options.onOutput) child.stdout?.on('data', options.onOutput);

  const kill = (name: NodeJS.Signals): void => {
    try {
      process.kill(isAttached ? pid : -pid, name);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  };
  let killTimer: NodeJS.Timeout | undefined;
  const onAbort = (): void => {
    kill('SIGTERM');
    killTimer = setTimeout(() => kill('SIGKILL'), KILL_AFTER_MS);
  };
  signal?.addEventListener('abort', onAbort, { once: true });

  const exited = (async (): Promise<ProcessResult> => {
    const output = await running;
    clearTimeout(killTimer);
    signal?.removeEventListener('abort', onAbort);
    if (signal?.aborted) kill('SIGKILL');
    return {
      exitCode: output.exitCode ?? 128 + (SIGNAL_NUMBERS[output.signal ?? ''] ?? 0),
      // zx would decode each piece by itself, though a character may lie in two of them.
      stdout: Buffer.concat(stdout).toString(),
      stderr: Buffer.concat(stderr).toString(),
      durationMs: performance.now() - startedAt,
    };
  })();
  // Node makes a pipe of a child's a socket pair, which is open in both directions (child_process, options.stdio).
  const channels = isAttached ? [] : (child.stdio.slice(CHANNEL) as Duplex[]);
  return { pid, stdin: child.stdin, stdout: output ?? null, channels, exited, kill };
}

/** Numbers of the signals that end programs (signal(7), x86 and arm). */
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
};

/** The last non-empty lines of a tool's output, safe to print. */
export function lastLines(text: string, count: number): string[] {
  return stripControl(text)
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .slice(-count);
}

/**
 * Runs a tool to its end and returns what it printed.
 * @throws BangerError `tool_failed` (exit 9) for a status outside `okExit`; the signal's reason when aborted.
 */
export async function run(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ProcessResult> {
  const child = await start(file, args, options);
  const result = await child.exited;
  options.signal?.throwIfAborted();
  const ok = options.okExit ?? [0];
  if (ok !== 'any' && !ok.includes(result.exitCode)) throw toolFailed(file, result);
  return result;
}

/** The error of a tool that failed: its name, its status and what it said last. */
export function toolFailed(file: string, result: ProcessResult): BangerError {
  const name = file.split('/').pop() ?? file;
  const said = lastLines(result.stderr === '' ? result.stdout : result.stderr, 5).join('\n');
  const why =
    result.exitCode === 127 && /not found/u.test(said)
      ? 'is not installed'
      : `failed with status ${result.exitCode}`;
  return new BangerError('tool_failed', `${name} ${why}${said === '' ? '' : `: ${said}`}`, {
    hints: ['banger doctor'],
    details: { tool: name, status: result.exitCode },
  });
}
