import { spawn } from 'node:child_process';
import { chown, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inject, type ProvidedContext } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import type { Account } from './test-user.ts';
import { assertSound } from './verifier.ts';

export interface CliResult {
  /** 128 + n when a signal ended it. */
  status: number;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  cwd?: string;
  /** Added to a login's environment; `undefined` takes a variable away. */
  env?: Readonly<Record<string, string | undefined>>;
  /** The whole environment instead. */
  onlyEnv?: Readonly<Record<string, string>>;
  /** Who runs it (default: the owner of the home). */
  as?: Account;
  /** What it may read on standard input (default: nothing). */
  input?: string;
  /** Shell commands that prepare a mount namespace for it alone: an empty file over /etc/subuid, say. Root's tests only. */
  inNamespace?: string;
  /** A program that runs it, with its arguments: strace, say. */
  under?: readonly string[];
  /** Which form of the program (default: the test project's). */
  form?: ProvidedContext['form'];
  /** After this many milliseconds it is killed and the test fails. */
  timeoutMs?: number;
}

export interface RunningCli {
  readonly pid: number;
  readonly result: Promise<CliResult>;
  /** What it has written to standard error by now. */
  said(): string;
  /** Signals it alone, not what it started. */
  kill(signal: NodeJS.Signals): void;
}

/** The machine's own way out, which steps and bootstraps need. */
const PASSED_ON = [
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'SSL_CERT_FILE',
];
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGBUS: 7,
  SIGKILL: 9,
  SIGPIPE: 13,
  SIGTERM: 15,
};
const TIMEOUT_MS = 100_000;

/**
 * The accounts that commands are tested as: an ordinary user, and root where the tests run as root. The executable is
 * tested as an ordinary user alone: what differs between the two forms of the program does not differ by account.
 */
export function testAccounts(): Account[] {
  const { root, user } = inject('testRun');
  if (inject('form') === 'executable') return [user];
  return root ? [root, user] : [user];
}

/** A home directory of an account, with everything that banger keeps below it. */
export class Home {
  readonly account: Account;
  readonly directory: string;
  readonly stateDir: string;
  readonly #running = new Set<RunningCli>();

  static async make(account: Account): Promise<Home> {
    const directory = await mkdtemp(join(inject('testRun').directory, 'home-'));
    await chown(directory, account.uid, account.gid);
    return new Home(account, directory);
  }

  /** A home that is there already. */
  static at(directory: string, account: Account): Home {
    return new Home(account, directory);
  }

  private constructor(account: Account, directory: string) {
    this.account = account;
    this.directory = directory;
    this.stateDir = join(directory, '.local/state/banger');
  }

  /** The command line of the built program, for a shell or a terminal. */
  commandLine(
    args: readonly string[],
    form: ProvidedContext['form'] = inject('form'),
  ): [file: string, args: string[]] {
    const { program } = inject('testRun');
    if (form === 'executable') return [join(program, 'dist/banger'), [...args]];
    return [join(program, 'node_modules/node/bin/node'), [join(program, 'bin/run.js'), ...args]];
  }

  /** What a login shell would set, and nothing of the test runner's. */
  environment(extra: CliOptions['env'] = {}): Record<string, string> {
    const base: Record<string, string | undefined> = {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      HOME: this.directory,
      USER: this.account.name,
      LOGNAME: this.account.name,
      LANG: 'C.UTF-8',
      ...Object.fromEntries(PASSED_ON.map((name) => [name, process.env[name]])),
      ...extra,
    };
    return Object.fromEntries(
      Object.entries(base).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    );
  }

  #invocation(
    args: readonly string[],
    { inNamespace, under = [], as = this.account, form }: CliOptions,
  ): [string, string[]] {
    const [program, own] = this.commandLine(args, form);
    const [file = program, ...all] = [...under, program, ...own];
    if (inNamespace === undefined) return [file, all];
    const identity = `setpriv --reuid ${as.uid} --regid ${as.gid} --clear-groups`;
    const script = `set -e; ${inNamespace}; exec ${identity} "$@"`;
    return ['unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', file, ...all]];
  }

  /** Starts the built program as its owner would. */
  start(args: readonly string[], options: CliOptions = {}): RunningCli {
    const { uid, gid } = options.as ?? this.account;
    const child = spawn(...this.#invocation(args, options), {
      cwd: options.cwd ?? this.directory,
      env: options.onlyEnv ?? this.environment(options.env),
      stdio: ['pipe', 'pipe', 'pipe'],
      // A session of its own: no terminal, whatever the tests were started from.
      detached: true,
      ...(process.getuid?.() === 0 && options.inNamespace === undefined ? { uid, gid } : {}),
    });
    const { pid } = child;
    if (pid === undefined) throw new Error(`banger ${args.join(' ')}: could not be started`);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    // A program that ends without reading is no error.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    const result = new Promise<CliResult>((resolve, reject) => {
      const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
      const timer = setTimeout(() => {
        process.kill(-pid, 'SIGKILL');
        reject(new Error(`banger ${args.join(' ')}: not done after ${timeoutMs} ms\n${stdout}\n${stderr}`));
      }, timeoutMs);
      child.on('error', reject).on('close', (code, signal) => {
        clearTimeout(timer);
        this.#running.delete(running);
        resolve({ status: code ?? 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0), stdout, stderr });
      });
    });
    const running: RunningCli = {
      pid,
      result,
      said: () => stderr,
      kill: (signal) => process.kill(pid, signal),
    };
    this.#running.add(running);
    return running;
  }

  /** Runs the built program to its end. */
  run(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    return this.start(args, options).result;
  }

  /** Runs it, expects success, and returns its standard output. */
  async ok(args: readonly string[], options: CliOptions = {}): Promise<string> {
    const { status, stdout, stderr } = await this.run(args, options);
    if (status !== 0) throw new Error(`banger ${args.join(' ')}: exit ${status}\n${stdout}\n${stderr}`);
    return stdout;
  }

  /** Runs it, expects it to fail with this status and to print nothing but why, and returns that. */
  async fails(status: number, args: readonly string[], options: CliOptions = {}): Promise<string> {
    const result = await this.run(args, options);
    if (result.status === status && result.stdout === '') return result.stderr;
    const { stdout, stderr } = result;
    throw new Error(`banger ${args.join(' ')}: exit ${result.status}, not ${status}\n${stdout}\n${stderr}`);
  }

  /** Runs it with `--json` and returns the one document it prints, whether it succeeded or not. */
  async json<T>(args: readonly string[], options: CliOptions = {}): Promise<{ status: number; document: T }> {
    const { status, stdout, stderr } = await this.run([...args, '--json'], options);
    try {
      return { status, document: JSON.parse(stdout) as T };
    } catch (cause) {
      throw new Error(`banger ${args.join(' ')}: no JSON document\n${stdout}\n${stderr}`, { cause });
    }
  }

  /** Makes a file below the home, owned by the account; returns its path. */
  async write(name: string, content: string | Uint8Array, mode = 0o644): Promise<string> {
    const path = join(this.directory, name);
    const { uid, gid } = this.account;
    const made = await mkdir(dirname(path), { recursive: true });
    if (made !== undefined) await run('chown', ['-R', `${uid}:${gid}`, made]);
    await writeFile(path, content, { mode });
    await chown(path, uid, gid);
    return path;
  }

  /** Throws with every complaint unless the state is as a finished command must leave it. */
  verify(): Promise<void> {
    return assertSound(this.stateDir, { uid: this.account.uid });
  }

  /** Ends what a test that failed did not wait for. */
  async stop(): Promise<void> {
    for (const running of this.#running) {
      // The whole group: what a program like strace runs, and may have stopped, would stay.
      process.kill(-running.pid, 'SIGKILL');
      await running.result.catch(() => {});
    }
  }

  async remove(): Promise<void> {
    await this.stop();
    // An ordinary user's bootstrap leaves files of its subordinate ids, which only a mapped root may remove.
    const mapped = process.getuid?.() === 0 ? [] : ['unshare', '--map-root-user', '--map-auto'];
    const [file = 'rm', ...args] = [...mapped, 'rm', '-rf', '--one-file-system', this.directory];
    await run(file, args);
  }
}
