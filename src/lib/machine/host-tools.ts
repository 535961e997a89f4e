import type { Readable } from 'node:stream';
import { mapped } from '../system/mapped.ts';
import { namespaceFault } from '../system/preflight.ts';
import { type ProcessResult, type RunningProcess, type RunOptions, run, start } from '../system/process.ts';

/** Runs tools of the host where its files have the guest's ids, if that can be had. */
export class HostTools {
  /** Whether ids of the guest can be told apart in files of the host: else all of these are ours. */
  readonly hasIds: boolean;
  readonly #signal: AbortSignal;

  static async find(signal: AbortSignal): Promise<HostTools> {
    const isRoot = process.geteuid?.() === 0;
    return new HostTools(isRoot || (await namespaceFault('user', signal)) === null, signal);
  }

  private constructor(hasIds: boolean, signal: AbortSignal) {
    this.hasIds = hasIds;
    this.#signal = signal;
  }

  /** @throws BangerError `tool_failed` */
  run(file: string, args: readonly string[], options: RunOptions = {}): Promise<ProcessResult> {
    const [command, ...rest] = this.#command(file, args);
    return run(command, rest, { signal: this.#signal, ...options });
  }

  /** Starts one whose output is read as it comes. */
  stream(file: string, args: readonly string[]): Promise<RunningProcess> {
    const [command, ...rest] = this.#command(file, args);
    return start(command, rest, { signal: this.#signal, stdout: 'stream' });
  }

  /** Starts one that reads. */
  feed(file: string, args: readonly string[]): Promise<RunningProcess> {
    const [command, ...rest] = this.#command(file, args);
    return start(command, rest, { signal: this.#signal, stdin: 'pipe' });
  }

  #command(file: string, args: readonly string[]): [string, ...string[]] {
    return this.hasIds ? mapped([file, ...args]) : [file, ...args];
  }
}

/**
 * Writes a stream to a program to its end, no faster than that reads.
 * @throws what the stream failed with
 */
export async function pour(input: Readable, program: RunningProcess): Promise<ProcessResult> {
  const { stdin } = program;
  // One that ends without having read all of it gives a reason itself.
  stdin?.on('error', () => {});
  try {
    for await (const chunk of input) {
      if (stdin === null || !stdin.writable) break;
      if (!stdin.write(chunk)) await drained(program);
    }
  } catch (error) {
    // What has come looks like all of it to whoever reads it.
    program.kill('SIGKILL');
    await program.exited;
    throw error;
  } finally {
    input.destroy();
  }
  stdin?.end();
  return program.exited;
}

/** Settles when a program reads on, or never will. */
async function drained({ stdin, exited }: RunningProcess): Promise<void> {
  await Promise.race([new Promise((resolve) => stdin?.once('drain', resolve)), exited]);
}
