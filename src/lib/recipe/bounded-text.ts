import { mistake } from './faults.ts';

/** Text that must not grow without end, as `$a$a` in line after line would make it. */
export class BoundedText {
  readonly #limit: number;
  text = '';

  /** @param limit in characters */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws BangerError `usage` */
  add(more: string): void {
    if (this.text.length + more.length > this.#limit) {
      throw mistake(`with its variables replaced this is longer than ${this.#limit} characters`);
    }
    this.text += more;
  }
}
