import { BoundedText } from './bounded-text.ts';
import { mistake } from './faults.ts';

// Patterns of `${name#pattern}` and its like: `?` is any character, `*` any number of them. No regular expression: a
// file must not be able to make one that takes for ever.

const ANY = Symbol('?');
/** Between the stars: characters that have to follow each other. */
type Run = readonly (string | typeof ANY)[];

/** @throws BangerError `usage` for an escape of something that has no meaning to escape */
export function parsePattern(text: string): Run[] {
  const runs: (string | typeof ANY)[][] = [[]];
  const characters = Array.from(text);
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? '';
    const run = runs.at(-1);
    if (character === '*') runs.push([]);
    else if (character === '?') run?.push(ANY);
    else if (character === '\\') {
      at += 1;
      const escaped = characters[at] ?? '';
      if (!/^[*?\\}/]$/u.test(escaped)) throw mistake('in a pattern nothing but * and ? is escaped');
      run?.push(escaped);
    } else run?.push(character);
  }
  return runs;
}

export type Extent = 'shortest' | 'longest';

export function trimStart(value: string, pattern: readonly Run[], extent: Extent): string {
  const characters = Array.from(value);
  const end = matchAt(characters, pattern, 0, extent);
  return end === undefined ? value : characters.slice(end).join('');
}

export function trimEnd(value: string, pattern: readonly Run[], extent: Extent): string {
  const characters = Array.from(value).reverse();
  const backwards = pattern.map((run) => run.toReversed()).reverse();
  const end = matchAt(characters, backwards, 0, extent);
  return end === undefined ? value : characters.slice(end).reverse().join('');
}

/** Replaces the first match, or each; a match is as long as it can be. */
export function replace(
  value: string,
  pattern: readonly Run[],
  by: string,
  { which, limit }: { which: 'first' | 'all'; limit: number },
): string {
  const characters = Array.from(value);
  const result = new BoundedText(limit);
  let done = 0;
  for (let at = 0; at < characters.length; at += 1) {
    const end = matchAt(characters, pattern, at, 'longest');
    if (end === undefined || end === at) {
      // Where what follows the first star is not to be found from here, it is not from further on.
      if (pattern.length > 1 && end === undefined && runAt(characters, pattern[0] ?? [], at)) break;
      continue;
    }
    result.add(characters.slice(done, at).join('') + by);
    done = end;
    // With a star the longest match reaches to the last place where one can end.
    if (which === 'first' || pattern.length > 1) break;
    at = end - 1;
  }
  result.add(characters.slice(done).join(''));
  return result.text;
}

/** Where a match that begins at `start` ends. */
function matchAt(
  characters: readonly string[],
  pattern: readonly Run[],
  start: number,
  extent: Extent,
): number | undefined {
  const [first = [], ...others] = pattern;
  if (!runAt(characters, first, start)) return undefined;
  let end = start + first.length;
  for (const [index, run] of others.entries()) {
    const isLast = index === others.length - 1;
    const found =
      isLast && extent === 'longest' ? lastRun(characters, run, end) : firstRun(characters, run, end);
    if (found === undefined) return undefined;
    end = found + run.length;
  }
  return end;
}

function runAt(characters: readonly string[], run: Run, at: number): boolean {
  return (
    at + run.length <= characters.length &&
    run.every((one, index) => one === ANY || one === characters[at + index])
  );
}

function firstRun(characters: readonly string[], run: Run, from: number): number | undefined {
  for (let at = from; at + run.length <= characters.length; at += 1) {
    if (runAt(characters, run, at)) return at;
  }
  return undefined;
}

function lastRun(characters: readonly string[], run: Run, from: number): number | undefined {
  for (let at = characters.length - run.length; at >= from; at -= 1) {
    if (runAt(characters, run, at)) return at;
  }
  return undefined;
}
