import type { Duplex, Readable } from 'node:stream';
import type { RunningMachine } from './qemu.ts';
import { endMark } from './step-agent.ts';

/** How much of a script's input goes in a piece, in bytes: the guest starts a program for each. */
const PIECE_BYTES = 256 * 1024;

/** How much may be behind a mark, in bytes. */
const STATUS_BYTES = 16;
/** For what is none. */
const NO_STATUS = 255;

export interface ScriptOptions {
  /** What it reads on stdin, which is empty without; destroyed when it ends. A failure of this stream fails it. */
  input?: Readable;
  /** What it writes, as it comes; the next comes when a promise that this returns has settled. */
  onOutput?: (bytes: Buffer, stream: 'stdout' | 'stderr') => unknown;
}

/** Our end of a guest that carries out scripts, one at a time (step-agent.ts). */
export class StepChannel {
  readonly #run: Duplex;
  readonly #outputs: { stdout: MarkedOutput; stderr: MarkedOutput };
  readonly #gone: Promise<never>;

  /** @param gone rejects when the machine has ended, with what is said of that */
  constructor(machine: Pick<RunningMachine, 'channels'>, token: string, gone: Promise<never>) {
    const [run, errors] = machine.channels;
    if (run === undefined || errors === undefined)
      throw new Error('a machine that runs scripts has two ports');
    this.#run = run;
    const mark = endMark(token);
    this.#outputs = { stdout: new MarkedOutput(run, mark), stderr: new MarkedOutput(errors, mark) };
    this.#gone = gone;
    gone.catch(() => {});
  }

  /** Settles when the guest waits for a script. */
  async ready(): Promise<void> {
    await this.#ended(() => {});
  }

  /**
   * Has the guest carry out a script (of busybox's sh).
   * @returns its status
   */
  async perform(script: string, { input, onOutput = () => {} }: ScriptOptions = {}): Promise<number> {
    const text = Buffer.from(script);
    this.#run.write(`${text.length} ${input === undefined ? 'none' : 'input'}\n`);
    this.#run.write(text);
    if (input === undefined) return this.#ended(onOutput);
    const feeding = this.#feed(input);
    // It is waited for once the script has ended, be it long after it has failed.
    feeding.catch(() => {});
    try {
      const status = await this.#ended(onOutput);
      // Whoever has ended reads no more.
      input.destroy();
      await Promise.race([feeding, this.#gone]);
      return status;
    } finally {
      input.destroy();
    }
  }

  async #ended(onOutput: NonNullable<ScriptOptions['onOutput']>): Promise<number> {
    const { stdout, stderr } = this.#outputs;
    const both = Promise.all([
      stdout.untilMark((bytes) => onOutput(bytes, 'stdout')),
      stderr.untilMark((bytes) => onOutput(bytes, 'stderr')),
    ]);
    const [status] = await Promise.race([both, this.#gone]);
    return status;
  }

  /** @throws what the stream failed with, once the guest has been told that there is no more of it */
  async #feed(input: Readable): Promise<void> {
    let failure: unknown;
    try {
      for await (const chunk of input) {
        const bytes = Buffer.from(chunk);
        for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
          const piece = bytes.subarray(at, at + PIECE_BYTES);
          this.#run.write(`${piece.length}\n`);
          if (this.#run.write(piece)) continue;
          await Promise.race([new Promise((resolve) => this.#run.once('drain', resolve)), this.#gone]);
        }
      }
    } catch (error) {
      // Who destroys it does so because nobody reads it any more.
      if (!input.destroyed || input.errored !== null) failure = error;
    }
    this.#run.write('0\n');
    if (failure !== undefined) throw failure;
  }
}

/** What comes by a port, in parts that end with a mark and a number. */
class MarkedOutput {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #mark: Buffer;
  #rest: Buffer = Buffer.alloc(0);

  constructor(port: Duplex, mark: Buffer) {
    this.#chunks = port.iterator({ destroyOnReturn: false });
    this.#mark = mark;
  }

  /** Tells what comes before the next mark, no faster than it is taken; returns the number behind that. */
  async untilMark(onBytes: (bytes: Buffer) => unknown): Promise<number> {
    for (;;) {
      const all = this.#rest;
      const at = all.indexOf(this.#mark);
      const told = at === -1 ? all.length - beginningOf(this.#mark, all) : at;
      if (told > 0) await onBytes(all.subarray(0, told));
      this.#rest = all.subarray(told);
      const end = at === -1 ? -1 : this.#rest.indexOf(0x0a);
      if (end !== -1) {
        const number = this.#rest.subarray(this.#mark.length, end).toString('latin1');
        this.#rest = this.#rest.subarray(end + 1);
        return /^\d{1,3}$/u.test(number) ? Number(number) : NO_STATUS;
      }
      // Whoever knows the mark may write what he likes behind it.
      if (at !== -1 && this.#rest.length > this.#mark.length + STATUS_BYTES) return NO_STATUS;
      const { done, value } = await this.#chunks.next();
      // The end of the machine is told by others, who know why.
      if (done) return new Promise(() => {});
      this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
    }
  }
}

/** How many bytes at the end of some may be the beginning of a mark. */
function beginningOf(mark: Buffer, bytes: Buffer): number {
  const at = bytes.lastIndexOf(mark[0] ?? 0);
  if (at === -1) return 0;
  const length = bytes.length - at;
  return length < mark.length && bytes.subarray(at).equals(mark.subarray(0, length)) ? length : 0;
}
