import { mistake, shown } from './faults.ts';

/** The escape character of a file: it joins lines and takes the meaning from the character after it. */
export type Escape = '\\' | '`';

export interface Words {
  /** Quotes and escapes still in them. */
  words: string[];
  /** Whether the text ends inside quotes. */
  open: boolean;
}

const SPACE = /\s/u;

/** Divides text at white space that is not quoted or escaped. */
export function splitQuoted(text: string, escaper: Escape): Words {
  const words: string[] = [];
  let start = -1;
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (quote === '' && SPACE.test(character)) {
      if (start !== -1) words.push(text.slice(start, at));
      start = -1;
      continue;
    }
    if (start === -1) start = at;
    if (character === escaper && quote !== "'") at += 1;
    else if (character === quote) quote = '';
    else if (quote === '' && (character === '"' || character === "'")) quote = character;
  }
  if (start !== -1) words.push(text.slice(start));
  return { words, open: quote !== '' };
}

/** Divides text at white space, whatever is around it. */
export function splitPlain(text: string): string[] {
  return text.split(/[\t\v\f\r ]+/u).filter((word) => word !== '');
}

/**
 * The strings of a JSON array; undefined where the text is none, and so is to be read as a command or as words.
 * @throws BangerError `usage` for an array that holds something else
 */
export function parseJsonArray(text: string): string[] | undefined {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(values)) return undefined;
  return values.map((value: unknown) => {
    if (typeof value !== 'string') throw mistake(`${shown(text)}: an array may hold nothing but strings`);
    if (value.includes('\0')) throw mistake(`${shown(text)}: a NUL byte cannot be part of an argument`);
    return value;
  });
}

export interface WrittenFlag {
  name: string;
  /** Null where there is no `=`. */
  value: string | null;
}

/** Takes the `--name=value` off the front of an instruction's arguments. `--` alone ends them. */
export function splitFlags(text: string): { flags: WrittenFlag[]; rest: string } {
  const flags: WrittenFlag[] = [];
  let rest = text.trimStart();
  while (rest.startsWith('--')) {
    const { word, after } = takeWord(rest);
    rest = after.trimStart();
    if (word === '--') break;
    const equals = word.indexOf('=');
    flags.push(
      equals === -1
        ? { name: word.slice(2), value: null }
        : { name: word.slice(2, equals), value: word.slice(equals + 1) },
    );
  }
  return { flags, rest: rest.trimEnd() };
}

/** The first word without its quotes; the backslash escapes here whatever the file's escape character is. */
function takeWord(text: string): { word: string; after: string } {
  const parts: string[] = [];
  let quote = '';
  let at = 0;
  for (; at < text.length; at += 1) {
    let character = text[at] ?? '';
    if (quote === '' && SPACE.test(character)) break;
    if (character === quote) {
      quote = '';
      continue;
    }
    if (quote === '' && (character === '"' || character === "'")) {
      quote = character;
      continue;
    }
    if (character === '\\') {
      at += 1;
      character = text[at] ?? '';
    }
    parts.push(character);
  }
  return { word: parts.join(''), after: text.slice(at) };
}
