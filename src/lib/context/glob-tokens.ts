import { BangerError } from '../errors.ts';
import { oneLine } from '../text.ts';

/** A part of a pattern; each takes one character, unless it says otherwise. */
export type Token =
  | { kind: 'character'; code: number }
  /** `?`: any but `/` */
  | { kind: 'any' }
  | { kind: 'class'; negated: boolean; ranges: readonly (readonly [low: number, high: number])[] }
  /** `*`: any number of any but `/` */
  | { kind: 'star' }
  /** `**` before something: any number of directories, or nothing. Inside of it once something was taken. */
  | { kind: 'directories' | 'in directories' }
  /** `**` at the end: any number of any characters */
  | { kind: 'rest' };

/** What `**` stands for that is not a whole part of a path: `.dockerignore` crosses directories, filepath.Match does not. */
export type DoubleStar = 'crosses' | 'stays';

/** PATH_MAX (limits.h). */
const MAX_LENGTH = 4096;
const [STAR, BACKSLASH, OPEN, CLOSE, CARET, DASH] = ['*', '\\', '[', ']', '^', '-'];

/**
 * The tokens of a pattern: Go's path/filepath.Match, and `**` as github.com/moby/patternmatcher has it.
 * @throws BangerError `usage` for what Go calls a bad pattern, and for a range that runs backwards
 */
export function parseTokens(pattern: string, doubleStar: DoubleStar): Token[] {
  if (pattern.length > MAX_LENGTH) throw badPattern(pattern, 'it is too long to match a path');
  const characters = [...pattern];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; ) {
    const character = characters[at];
    if (character === STAR) {
      at = addStars(characters, at, tokens, doubleStar);
    } else if (character === '?') {
      tokens.push({ kind: 'any' });
      at += 1;
    } else if (character === OPEN) {
      at = addClass(characters, at + 1, tokens, pattern);
    } else {
      const [code, next] = readCharacter(characters, at, pattern);
      tokens.push({ kind: 'character', code });
      at = next;
    }
  }
  return tokens;
}

/** One character, perhaps with a backslash before it, and where the next one begins. */
function readCharacter(
  characters: readonly string[],
  at: number,
  pattern: string,
): [code: number, next: number] {
  const start = characters[at] === BACKSLASH ? at + 1 : at;
  const code = characters[start]?.codePointAt(0);
  if (code === undefined) throw badPattern(pattern, 'nothing follows its last \\');
  return [code, start + 1];
}

function addStars(
  characters: readonly string[],
  at: number,
  tokens: Token[],
  doubleStar: DoubleStar,
): number {
  if (characters[at + 1] !== STAR) {
    tokens.push({ kind: 'star' });
    return at + 1;
  }
  const isWhole = (at === 0 || characters[at - 1] === '/') && [undefined, '/'].includes(characters[at + 2]);
  if (doubleStar === 'stays' && !isWhole) {
    tokens.push({ kind: 'star' });
    let next = at;
    while (characters[next] === STAR) next += 1;
    return next;
  }
  const next = at + (characters[at + 2] === '/' ? 3 : 2);
  // moby/patternmatcher compares ends where a pattern is `**` and plain text.
  const isSuffix = at === 0 && next === 2 && !/[*?[\\]/u.test(characters.slice(next).join(''));
  if (next === characters.length || isSuffix) tokens.push({ kind: 'rest' });
  else tokens.push({ kind: 'directories' }, { kind: 'in directories' });
  return next;
}

function addClass(characters: readonly string[], start: number, tokens: Token[], pattern: string): number {
  const negated = characters[start] === CARET;
  const ranges: [number, number][] = [];
  let at = negated ? start + 1 : start;
  while (ranges.length === 0 || characters[at] !== CLOSE) {
    const [low, afterLow] = readBound(characters, at, pattern);
    const isRange = characters[afterLow] === DASH;
    const [high, next] = isRange ? readBound(characters, afterLow + 1, pattern) : [low, afterLow];
    if (high < low) throw badPattern(pattern, 'a range in it runs backwards');
    ranges.push([low, high]);
    at = next;
  }
  tokens.push({ kind: 'class', negated, ranges });
  return at + 1;
}

function readBound(characters: readonly string[], at: number, pattern: string): [number, number] {
  const character = characters[at];
  if (character === undefined) throw badPattern(pattern, 'a [ has no ]');
  if (character === DASH || character === CLOSE) {
    throw badPattern(pattern, `a ${character} in [ ] needs a \\ before it`);
  }
  return readCharacter(characters, at, pattern);
}

function badPattern(pattern: string, why: string): BangerError {
  return new BangerError('usage', `'${oneLine(pattern).slice(0, 120)}' is not a pattern: ${why}`, {
    hints: ['write \\ before a character that stands for itself: \\[ \\* \\?'],
  });
}
