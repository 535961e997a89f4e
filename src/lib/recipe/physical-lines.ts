import { mistake, shown } from './faults.ts';
import type { HereDocument, HereMarker } from './here-document.ts';
import type { Escape } from './words.ts';

const CONTINUED: Readonly<Record<Escape, RegExp>> = {
  '\\': /(?<!\\)\\[ \t]*$/u,
  '`': /(?<!`)`[ \t]*$/u,
};

/** The lines of a file, taken from the top. */
export class PhysicalLines {
  /** Each without its newline; a carriage return before it is still there. */
  readonly #lines: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#lines = text.replace(/^\ufeff/u, '').split('\n');
  }

  get isDone(): boolean {
    return this.#at >= this.#lines.length;
  }

  /** Of the line that comes next, from 1. */
  get number(): number {
    return this.#at + 1;
  }

  /** The line that comes next, without its end. */
  peek(): string {
    return (this.#lines[this.#at] ?? '').replace(/\r$/u, '');
  }

  skip(): void {
    this.#at += 1;
  }

  /** The lines that make one, comments and empty lines between them left out. */
  takeJoined(escaper: Escape): string {
    const parts: string[] = [];
    while (!this.isDone) {
      const line = this.peek();
      this.skip();
      const start = line.trimStart();
      if (start.startsWith('#') || (start === '' && parts.length > 0)) {
        if (parts.length === 0) break;
        continue;
      }
      const joined = line.replace(CONTINUED[escaper], '');
      parts.push(joined);
      if (joined === line) break;
    }
    return parts.join('').trim();
  }

  /** @throws BangerError `usage` where it does not end */
  takeDocument(marker: HereMarker): HereDocument {
    const start = this.#at;
    while (!this.isDone) {
      const line = this.peek();
      this.skip();
      if ((marker.chomp ? line.replace(/^\t+/u, '') : line) === marker.name) {
        const raw = this.#lines.slice(start, this.#at - 1).map((one) => `${one}\n`);
        return { ...marker, raw: raw.join('') };
      }
    }
    throw mistake(
      `here-document ${shown(marker.name)} does not end`,
      'end it with a line that is its name and nothing else, or quote the << where it begins none',
    );
  }
}
