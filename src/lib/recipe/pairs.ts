import { expandWord } from './expand.ts';
import { mistake, shown } from './faults.ts';
import type { Lookup } from './variables.ts';
import { type Escape, splitQuoted } from './words.ts';

export interface Pair {
  name: string;
  value: string;
}

/** `NAME=VALUE …`, or `NAME the rest of the line`; nothing replaced yet. */
export function parsePairs(keyword: 'ENV' | 'LABEL', rest: string, escaper: Escape): Pair[] {
  const { words } = splitQuoted(rest, escaper);
  const [first] = words;
  if (first === undefined) throw mistake(`${keyword} sets nothing`, `write ${keyword} NAME=VALUE`);
  if (!first.includes('=')) {
    const name = rest.split(/\s/u, 1).join('');
    const value = rest.slice(name.length).trimStart();
    if (value === '') throw mistake(`${shown(name)} has no value`, `write ${keyword} NAME=VALUE`);
    return [{ name, value }];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals === -1) {
      throw mistake(`${shown(word)} is not NAME=VALUE`, 'put a value with spaces in double quotes');
    }
    return { name: word.slice(0, equals), value: word.slice(equals + 1) };
  });
}

export interface Argument {
  name: string;
  /** The default, nothing replaced yet; null where there is none. */
  value: string | null;
}

/** `NAME`, `NAME=DEFAULT`, several of them. */
export function parseArguments(rest: string, escaper: Escape): Argument[] {
  const { words } = splitQuoted(rest, escaper);
  if (words.length === 0) throw mistake('ARG declares nothing', 'write ARG NAME, or ARG NAME=DEFAULT');
  return words.map((word) => {
    const equals = word.indexOf('=');
    const name = equals === -1 ? word : word.slice(0, equals);
    if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/u.test(name))
      throw mistake(`${shown(name)} is not the name of an argument`);
    return { name, value: equals === -1 ? null : word.slice(equals + 1) };
  });
}

interface ArgumentSources {
  variables: Lookup;
  escaper: Escape;
  buildArgs: ReadonlyMap<string, string>;
}

/** What was given for an argument, else its default; undefined where there is neither. */
export function evaluateArgument(
  { name, value }: Argument,
  { variables, escaper, buildArgs }: ArgumentSources,
): string | undefined {
  const given = buildArgs.get(name);
  if (given !== undefined || value === null) return given;
  return expandWord(value, variables, escaper);
}
