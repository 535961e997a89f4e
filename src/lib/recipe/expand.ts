import { BoundedText } from './bounded-text.ts';
import { mistake, shown } from './faults.ts';
import { parsePattern, replace, trimEnd, trimStart } from './pattern.ts';
import type { Lookup } from './variables.ts';
import type { Escape } from './words.ts';

/** Longest string that a program can be given (execve(2), MAX_ARG_STRLEN: 32 pages), in characters. */
const LONGEST_WORD = 131_071;
/** As long as a whole file may be. */
const LONGEST_DOCUMENT = 1_048_576;
/** How deep `${a:-${b:-…}}` goes. */
const DEEPEST = 50;

/** Replaces the variables of a word, and takes quotes and escapes away (Dockerfile reference, Environment replacement). */
export function expandWord(word: string, variables: Lookup, escaper: Escape): string {
  return new Expansion(word, variables, { escaper, quotes: true, limit: LONGEST_WORD }).expand();
}

/** The same for a here-document, where quotes are nothing special. */
export function expandDocument(text: string, variables: Lookup): string {
  return new Expansion(text, variables, { escaper: '\\', quotes: false, limit: LONGEST_DOCUMENT }).expand();
}

interface Manner {
  escaper: Escape;
  quotes: boolean;
  limit: number;
}

/** One pass over a text. What a method returns stands in place of what it has read. */
class Expansion {
  readonly #text: string;
  readonly #variables: Lookup;
  readonly #manner: Manner;
  #at = 0;
  #depth = 0;

  constructor(text: string, variables: Lookup, manner: Manner) {
    this.#text = text;
    this.#variables = variables;
    this.#manner = manner;
  }

  expand(): string {
    return this.#upTo('', false);
  }

  get #next(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(): string {
    const character = this.#next;
    this.#at += 1;
    return character;
  }

  /** @param keepEscapes where the result is a pattern, which has escapes of its own */
  #upTo(stop: string, keepEscapes: boolean): string {
    const result = new BoundedText(this.#manner.limit);
    const { escaper, quotes } = this.#manner;
    while (this.#at < this.#text.length) {
      const next = this.#next;
      if (next === stop) {
        this.#at += 1;
        return result.text;
      }
      if (next === '$') result.add(this.#dollar());
      else if (quotes && next === "'") result.add(this.#singleQuoted());
      else if (quotes && next === '"') result.add(this.#doubleQuoted(keepEscapes));
      else if (this.#take() !== escaper) result.add(next);
      else result.add(keepEscapes ? next + this.#take() : this.#take());
    }
    if (stop !== '') throw mistake(`${shown(this.#text)}: a '${stop}' is missing`);
    return result.text;
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end === -1) throw mistake(`${shown(this.#text)}: a single quote is missing`);
    const quoted = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return quoted;
  }

  #doubleQuoted(keepEscapes: boolean): string {
    const result = new BoundedText(this.#manner.limit);
    const { escaper } = this.#manner;
    this.#at += 1;
    while (this.#at < this.#text.length) {
      if (this.#next === '$') {
        result.add(this.#dollar());
        continue;
      }
      const character = this.#take();
      if (character === '"') return result.text;
      if (character !== escaper) {
        result.add(character);
        continue;
      }
      const isMeant = this.#next === '"' || this.#next === '$' || this.#next === escaper;
      if (keepEscapes || !isMeant) result.add(escaper);
      if (isMeant) result.add(this.#take());
    }
    throw mistake(`${shown(this.#text)}: a double quote is missing`);
  }

  #dollar(): string {
    const start = this.#at;
    this.#at += 1;
    if (this.#next !== '{') {
      const name = this.#name();
      return name === '' ? '$' : (this.#variables.get(name) ?? '');
    }
    this.#at += 1;
    const name = this.#name();
    if (name === '') throw this.#badSubstitution(start);
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw mistake(`variables are nested more than ${DEEPEST} deep`);
    const value = this.#substitute(name, start);
    this.#depth -= 1;
    return value;
  }

  /** A variable's name, a number, or one of the shell's own, which are never set here. */
  #name(): string {
    const pattern = /[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]/uy;
    pattern.lastIndex = this.#at;
    const name = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += name.length;
    return name;
  }

  #substitute(name: string, start: number): string {
    const value = this.#variables.get(name);
    let operator = this.#take();
    if (operator === '}') return value ?? '';
    const emptyIsUnset = operator === ':';
    if (emptyIsUnset) operator = this.#take();
    const isThere = value !== undefined && !(emptyIsUnset && value === '');
    switch (operator) {
      case '-': {
        const word = this.#upTo('}', false);
        return isThere ? value : word;
      }
      case '+': {
        const word = this.#upTo('}', false);
        return isThere ? word : '';
      }
      case '?': {
        const from = this.#at;
        this.#upTo('}', false);
        if (isThere) return value;
        const why = this.#text.slice(from, this.#at - 1);
        throw mistake(`${shown(name)} is not set${why === '' ? '' : `: ${shown(why)}`}`);
      }
      case '#':
      case '%': {
        const isLongest = this.#next === operator;
        if (isLongest) this.#at += 1;
        const pattern = parsePattern(this.#upTo('}', true));
        const trim = operator === '#' ? trimStart : trimEnd;
        return trim(value ?? '', pattern, isLongest ? 'longest' : 'shortest');
      }
      case '/': {
        if (emptyIsUnset) throw this.#badSubstitution(start);
        const which = this.#next === '/' ? 'all' : 'first';
        if (which === 'all') this.#at += 1;
        const pattern = parsePattern(this.#upTo('/', true));
        return replace(value ?? '', pattern, this.#upTo('}', true), { which, limit: this.#manner.limit });
      }
      default:
        throw this.#badSubstitution(start);
    }
  }

  #badSubstitution(start: number): Error {
    const end = this.#text.indexOf('}', start);
    const what = this.#text.slice(start, end === -1 ? undefined : end + 1);
    return mistake(
      `${shown(what)} is no substitution that a recipe knows`,
      'write \\$ for a dollar sign that begins no variable',
    );
  }
}
