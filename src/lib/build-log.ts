import { appendFileSync, closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf, PreflightError } from './errors.ts';
import { oneLine, shellWord, stripControl } from './text.ts';

/**
 * An operation's log, appended to line by line as things happen, so that a killed run leaves what it knew. A log that
 * cannot be written must not take a build down in the middle of a stream: the first failure is kept for the end.
 */
export class BuildLog {
  readonly path: string;
  readonly #paths: readonly string[];
  readonly #files: number[] = [];
  #failure: string | null = null;

  /** @param copy a file of the user's that gets the same */
  constructor(path: string, copy?: string) {
    this.path = path;
    this.#paths = copy === undefined ? [path] : [path, copy];
  }

  /** @throws PreflightError when a file cannot be made or written */
  open(): void {
    for (const path of this.#paths) {
      try {
        this.#files.push(openSync(path, 'a', 0o600));
      } catch (error) {
        throw new PreflightError('log', [
          {
            message: `${oneLine(path)} cannot be written: ${messageOf(error)}`,
            mend: `look at its directory: ls -ld ${shellWord(dirname(path))}`,
          },
        ]);
      }
    }
  }

  /** Why the log is not whole, or null. */
  get failure(): string | null {
    return this.#failure;
  }

  /** Does nothing before `open`. */
  write(line: string): void {
    const time = new Date().toISOString().slice(11, 23);
    for (const [index, file] of this.#files.entries()) {
      try {
        // Not writeSync, which may write a part and call it a success.
        appendFileSync(file, `${time} ${stripControl(line)}\n`);
      } catch (error) {
        this.#failure ??= `the log ${oneLine(this.#paths[index] ?? '')} is not whole: ${messageOf(error)}`;
      }
    }
  }

  close(): void {
    for (const file of this.#files.splice(0)) closeSync(file);
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
