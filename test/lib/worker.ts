import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';

const WAIT_MS = 20_000;

export interface WorkerOptions {
  /** Stands before the command line: `strace …`, `unshare …`, `faketime …`. */
  prefix?: readonly string[];
  env?: Readonly<Record<string, string>>;
}

export interface WorkerEnd {
  status: number | null;
  signal: NodeJS.Signals | null;
  /** All that it said, then what it wrote to standard error. */
  output: string;
}

/** A process of its own that runs one file of `workers/` and talks in lines. */
export class Worker {
  readonly pid: number;
  readonly ended: Promise<WorkerEnd>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #errors = '';
  #over = false;
  #wake: () => void = () => {};

  constructor(name: string, args: readonly string[], { prefix = [], env = {} }: WorkerOptions = {}) {
    const file = join(import.meta.dirname, 'workers', `${name}.ts`);
    const [program = '', ...rest] = [...prefix, process.execPath, file, ...args];
    this.#child = spawn(program, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', VITEST: '', ...env },
    });
    if (this.#child.pid === undefined) throw new Error(`${program} could not be started`);
    this.pid = this.#child.pid;
    let rest_ = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest_ + text).split('\n');
      rest_ = lines.pop() ?? '';
      this.#lines.push(...lines);
      this.#wake();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
      this.#wake();
    });
    // One that is killed reads no more.
    this.#child.stdin?.on('error', () => {});
    this.ended = new Promise((resolve) => {
      this.#child.on('close', (status, signal) => {
        this.#over = true;
        this.#wake();
        resolve({ status, signal, output: [...this.#lines, this.#errors].join('\n') });
      });
    });
  }

  /** The process that runs the file: the last of the chain that a prefix starts. */
  async nodePid(): Promise<number> {
    return Number((await this.said(/^pid \d+$/u)).slice(4));
  }

  /** Waits for a line (or anything on standard error) that matches, and returns it. */
  async said(pattern: RegExp, waitMs = WAIT_MS): Promise<string> {
    const deadline = performance.now() + waitMs;
    for (;;) {
      const line = [...this.#lines, ...this.#errors.split('\n')].find((text) => pattern.test(text));
      if (line !== undefined) return line;
      const left = deadline - performance.now();
      if (this.#over || left <= 0) {
        throw new Error(
          `the worker ${this.#over ? 'ended' : 'is still running'} without saying ${pattern}:\n` +
            [...this.#lines, this.#errors].join('\n'),
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  hasSaid(pattern: RegExp): boolean {
    return this.#lines.some((line) => pattern.test(line));
  }

  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it and whatever stands before it, whatever state they are in. */
  async remove(): Promise<void> {
    const [said] = this.#lines.filter((line) => /^pid \d+$/u.test(line));
    if (!this.#over && said !== undefined) {
      try {
        process.kill(Number(said.slice(4)), 'SIGKILL');
      } catch {
        // It ended meanwhile, or has another number in a namespace of its own.
      }
    }
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}
