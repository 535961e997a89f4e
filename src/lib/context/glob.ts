import { type DoubleStar, parseTokens, type Token } from './glob-tokens.ts';

/**
 * How far a pattern has come in a path: its tokens that the next character may be for. None: whatever follows, it does not
 * match.
 */
export type Progress = readonly number[];

const SLASH = 0x2f;

/**
 * A pattern that is followed along a path, piece by piece: what a directory has taken of it is known when the names in it
 * are looked at, and a directory where it has ended need not be. All ways are followed at once, so that no pattern takes
 * longer than its length times that of the path.
 */
export class Glob {
  readonly start: Progress;
  readonly #tokens: readonly Token[];
  /** By token, the step that last reached it. */
  readonly #reached: Float64Array;
  #step = 0;

  /** @throws BangerError `usage` for what is no pattern */
  constructor(pattern: string, doubleStar: DoubleStar) {
    this.#tokens = parseTokens(pattern, doubleStar);
    this.#reached = new Float64Array(this.#tokens.length + 1).fill(-1);
    const start: number[] = [];
    this.#reach(0, start);
    this.start = start;
  }

  /** Goes on from `progress` by some text: a name, or `/`. */
  advance(progress: Progress, text: string): Progress {
    let current = progress;
    for (let at = 0; at < text.length && current.length > 0; at += 1) {
      const code = text.codePointAt(at) ?? 0;
      if (code > 0xffff) at += 1;
      this.#step += 1;
      const next: number[] = [];
      for (const index of current) this.#take(index, code, next);
      current = next;
    }
    return current;
  }

  /** Whether what it has come along is a match. */
  isComplete(progress: Progress): boolean {
    return progress.includes(this.#tokens.length);
  }

  matches(path: string): boolean {
    return this.isComplete(this.advance(this.start, path));
  }

  #take(index: number, code: number, next: number[]): void {
    const token = this.#tokens[index];
    switch (token?.kind) {
      case 'character':
        if (token.code === code) this.#reach(index + 1, next);
        break;
      case 'any':
        if (code !== SLASH) this.#reach(index + 1, next);
        break;
      case 'class':
        if (token.ranges.some(([low, high]) => low <= code && code <= high) !== token.negated) {
          this.#reach(index + 1, next);
        }
        break;
      case 'star':
        if (code !== SLASH) this.#reach(index, next);
        break;
      case 'in directories':
        this.#reach(index, next);
        if (code === SLASH) this.#reach(index + 1, next);
        break;
      case 'rest':
        this.#reach(index, next);
    }
  }

  /** Adds a token, and those after it that are reached when it takes nothing. */
  #reach(first: number, next: number[]): void {
    for (let index = first; ; index += 1) {
      if (this.#reached[index] === this.#step) return;
      this.#reached[index] = this.#step;
      const kind = this.#tokens[index]?.kind;
      if (kind === 'directories') {
        this.#reach(index + 2, next);
        continue;
      }
      next.push(index);
      if (kind !== 'star' && kind !== 'rest') return;
    }
  }
}
