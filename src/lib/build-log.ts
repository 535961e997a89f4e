import { appendFileSync, closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, PreflightError } from './errors.ts';
import { shellWord, stripControl } from './text.ts';

/**
 * An operation's log, appended to line by line as things happen, so that a killed run leaves what it knew. A log that
 * cannot be written must not take a build down in the middle of a stream: the first failure is kept for the end.
 */
export class BuildLog {
  readonly path: string;
  #file: number | null = null;
  #failure: string | null = null;

  constructor(path: string) {
    this.path = path;
  }

  /** @throws PreflightError when the file cannot be made or written */
  open(): void {
    try {
      this.#file = openSync(this.path, 'a', 0o600);
    } catch (error) {
      throw new PreflightError('log', [
        {
          message: `${this.path} cannot be written: ${messageOf(error)}`,
          mend: `look at its directory: ls -ld ${shellWord(dirname(this.path))}`,
        },
      ]);
    }
  }

  /** Why the log is not whole, or null. */
  get failure(): string | null {
    return this.#failure;
  }

  /** Does nothing before `open`. */
  write(line: string): void {
    if (this.#file === null) return;
    const time = new Date().toISOString().slice(11, 23);
    try {
      // Not writeSync, which may write a part and call it a success.
      appendFileSync(this.#file, `${time} ${stripControl(line)}\n`);
    } catch (error) {
      this.#failure ??= `the log ${this.path} is not whole: ${messageOf(error)}`;
    }
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }
}

/** Runs what writes to a log: its error is the last line, and a log that is not whole is told. */
export async function logged<T>(
  { notify }: { notify(message: string): void },
  log: BuildLog,
  use: () => Promise<T>,
): Promise<T> {
  try {
    return await use();
  } catch (error) {
    log.write(`failed: ${messageOf(error)}`);
    throw error;
  } finally {
    log.close();
    if (log.failure !== null) notify(log.failure);
  }
}
