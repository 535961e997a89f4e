import { type ChildProcess, spawn } from 'node:child_process';
import { chown, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test as base, inject } from 'vitest';
import { type ProcessResult, run } from '../../src/lib/system/process.ts';
import type { StepOptions } from '../../src/lib/system/sandbox.ts';
import type { Call } from '../lib/workers/sandbox.ts';
import { makeRootfs } from './images.ts';
import { REPOSITORY } from './program.ts';
import type { Account } from './test-user.ts';
import { inspectKernel } from './verifier-kernel.ts';

export interface BoxOptions {
  network?: 'host' | 'none';
  /** Names of the image's file and of its directory. */
  name?: string;
  env?: Readonly<Record<string, string>>;
  /** Where its directory is made (default: in the test run's). */
  below?: string;
  /** Shell commands that prepare a mount namespace for it alone. Root's tests only. */
  inNamespace?: string;
  /** A descriptor above 2 that it inherits, to see that no step does. */
  leak?: number;
}

interface Answer {
  value: unknown;
  durationMs: number;
}

/** What a call was refused with: the fields of a BangerError. */
class Refusal extends Error {
  readonly code: string;
  readonly hints: readonly string[];

  constructor({ message, code, hints }: { message: string; code?: string; hints?: string[] }) {
    super(message);
    this.code = code ?? 'none';
    this.hints = hints ?? [];
  }
}

const SETTLE_MS = 5000;

interface BoxFixtures {
  /** A small busybox rootfs, the same for every test of a file. */
  rootfs: string;
  /** Opens a sandbox; after the test nothing may be left of it. */
  openBox: (account: Account, options?: BoxOptions & { image?: string }) => Promise<Box>;
}

export const test = base.extend<BoxFixtures>({
  rootfs: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures this one wants
    async ({}, use) => {
      const directory = await mkdtemp(join(inject('testRun').directory, 'rootfs-'));
      await use(await makeRootfs(join(directory, 'rootfs.ext4'), { sizeMiB: 32 }));
      await rm(directory, { recursive: true });
    },
    { scope: 'file' },
  ],
  openBox: async ({ rootfs }, use) => {
    const boxes: Box[] = [];
    try {
      await use(async (account, { image = rootfs, ...options } = {}) => {
        const box = await Box.open(account, image, options);
        boxes.push(box);
        return box;
      });
    } finally {
      for (const box of boxes) await box.remove();
    }
  },
});

/** A sandbox that an account opened in a process of its own, on a copy of an image. */
export class Box {
  readonly directory: string;
  readonly image: string;
  readonly pid: number;
  /** What the sandbox itself had to say. */
  readonly notes: string[] = [];
  readonly lines: string[] = [];
  openMs = 0;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (answer: Answer) => void; reject: (error: Error) => void }
  >();
  readonly #gone: Promise<void>;
  #errors = '';
  #calls = 0;

  /** @throws Refusal when the sandbox could not be opened; nothing is left of it then. */
  static async open(account: Account, image: string, options: BoxOptions = {}): Promise<Box> {
    const parent = await mkdtemp(join(options.below ?? inject('testRun').directory, 'box-'));
    const directory = options.name === undefined ? parent : join(parent, options.name);
    if (directory !== parent) await mkdir(directory);
    const own = join(directory, `${options.name ?? 'rootfs'}.ext4`);
    await run('cp', ['--sparse=always', '--', image, own]);
    await mkdir(join(directory, 'mnt'));
    for (const path of [parent, directory, own, join(directory, 'mnt')]) {
      await chown(path, account.uid, account.gid);
    }
    // Where every account may read it.
    const worker = join(inject('testRun').directory, 'sandbox-worker.ts');
    await copyFile(join(REPOSITORY, 'test/lib/workers/sandbox.ts'), worker);
    const box = new Box(account, directory, own, worker, options);
    try {
      box.openMs = (await box.#answer(0)).durationMs;
    } catch (error) {
      await box.remove();
      throw error;
    }
    return box;
  }

  private constructor(
    account: Account,
    directory: string,
    image: string,
    worker: string,
    options: BoxOptions,
  ) {
    this.directory = directory;
    this.image = image;
    const { program } = inject('testRun');
    const readable = program === REPOSITORY;
    const module = join(program, readable ? 'src/lib/system/sandbox.ts' : 'dist/lib/system/sandbox.js');
    const identity = ['setpriv', '--reuid', `${account.uid}`, '--regid', `${account.gid}`, '--clear-groups'];
    const namespace = ['unshare', '--mount', '--propagation', 'private'];
    const prefix =
      options.inNamespace === undefined
        ? identity
        : [...namespace, 'sh', '-c', `set -e; ${options.inNamespace}; exec "$@"`, 'sh', ...identity];
    const node = join(program, 'node_modules/node/bin/node');
    const [file = '', ...args] = [
      ...(account.uid === process.getuid?.() && options.inNamespace === undefined ? [] : prefix),
      ...[node, worker, module, image, join(directory, 'mnt'), options.network ?? 'host'],
    ];
    const leaked = options.leak === undefined ? [] : [options.leak];
    this.#child = spawn(file, args, {
      cwd: directory,
      stdio: ['pipe', 'pipe', 'pipe', ...leaked],
      env: { PATH: process.env.PATH, HOME: directory, LOGNAME: account.name, ...options.env },
    });
    if (this.#child.pid === undefined) throw new Error(`${file} could not be started`);
    this.pid = this.#child.pid;
    this.#child.stdin?.on('error', () => {});
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(JSON.parse(line));
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.#gone = new Promise((resolve) => {
      this.#child.on('close', () => {
        for (const { reject } of this.#waiting.values())
          reject(new Error(`the box is gone: ${this.#errors}`));
        this.#waiting.clear();
        resolve();
      });
    });
  }

  #take(message: {
    id?: number;
    note?: string;
    line?: string;
    value?: unknown;
    error?: { message: string };
    durationMs?: number;
  }): void {
    if (message.note !== undefined) this.notes.push(message.note);
    if (message.line !== undefined) this.lines.push(message.line);
    if (message.id === undefined) return;
    const { resolve, reject } = this.#waiting.get(message.id) ?? {};
    this.#waiting.delete(message.id);
    if (message.error !== undefined) reject?.(new Refusal(message.error));
    else resolve?.({ value: message.value, durationMs: message.durationMs ?? 0 });
  }

  #answer(id: number): Promise<Answer> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #call(call: Call): Promise<Answer> {
    this.#calls += 1;
    const answer = this.#answer(this.#calls);
    this.#child.stdin?.write(`${JSON.stringify({ ...call, id: this.#calls })}\n`);
    return answer;
  }

  /** Runs a command in the guest. */
  async run(argv: string[], options: Omit<StepOptions, 'onLine'> = {}): Promise<ProcessResult> {
    return (await this.#call({ call: 'run', argv, options })).value as ProcessResult;
  }

  /** Runs a shell script in the guest. */
  sh(script: string, options: Omit<StepOptions, 'onLine'> = {}): Promise<ProcessResult> {
    return this.run(['/bin/sh', '-c', script], options);
  }

  /** Runs one, expects success, and returns what it printed. */
  async ok(script: string, options: Omit<StepOptions, 'onLine'> = {}): Promise<string> {
    const { exitCode, stdout, stderr } = await this.sh(script, options);
    if (exitCode !== 0) throw new Error(`exit ${exitCode}: ${stdout}\n${stderr}`);
    return stdout;
  }

  async tool(file: string, args: string[], cwd?: string): Promise<ProcessResult> {
    const call: Call = { call: 'tool', file, args, ...(cwd === undefined ? {} : { cwd }) };
    return (await this.#call(call)).value as ProcessResult;
  }

  /** Closes it; how long that took, in milliseconds. */
  async close(): Promise<number> {
    return (await this.#call({ call: 'close' })).durationMs;
  }

  async abort(): Promise<void> {
    await this.#call({ call: 'abort' });
  }

  async abandon(): Promise<void> {
    await this.#call({ call: 'abandon' });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until the kernel holds nothing of it any more; returns what it still holds after some seconds. */
  async settled(): Promise<string[]> {
    const deadline = performance.now() + SETTLE_MS;
    for (;;) {
      const held = inspectKernel(this.directory).filter((line) => !line.startsWith(`process ${this.pid} `));
      if (held.length === 0 || performance.now() > deadline) return held;
      await sleep(20);
    }
  }

  /** Ends the process if it still runs, and removes the directory; throws with what is left of it. */
  async remove(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#gone;
    const held = await this.settled();
    await rm(this.directory, { recursive: true, force: true });
    if (held.length > 0) throw new Error(held.join('\n'));
  }
}
