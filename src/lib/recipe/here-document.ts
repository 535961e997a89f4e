import { mistake, shown } from './faults.ts';
import { splitQuoted } from './words.ts';

/** `<<NAME` in an instruction: the lines after it, up to NAME, are a document. */
export interface HereMarker {
  name: string;
  /** Whether variables in the document are replaced: no part of the name is quoted. */
  expand: boolean;
  /** `<<-`: tabs at the start of its lines are not part of it. */
  chomp: boolean;
}

export interface HereDocument extends HereMarker {
  /** As it stands in the file, tabs included. */
  raw: string;
}

/** The documents that an instruction announces. In a line whose quotes do not match there are none. */
export function markersIn(text: string): HereMarker[] {
  if (!text.includes('<<')) return [];
  // Whatever the file's escape character is: this is the shell's syntax.
  const { words, open } = splitQuoted(text, '\\');
  if (open) return [];
  let parentheses = 0;
  return joinMarkers(words).flatMap((word) => {
    const marker = markerOf(word);
    parentheses += word.split('((').length - word.split('))').length;
    // Between (( and )) it shifts a number.
    return marker === undefined || parentheses > 0 || word.endsWith('))') ? [] : [marker];
  });
}

/** Words, with `<<` and the name after it as one. */
export function joinMarkers(words: readonly string[]): string[] {
  const joined: string[] = [];
  for (const word of words) {
    const last = joined.at(-1) ?? '';
    if (/^[0-9]*<<-?$/u.test(last)) joined[joined.length - 1] = `${last} ${word}`;
    else joined.push(word);
  }
  return joined;
}

/** A word that is a marker as a whole, perhaps after the number of a file descriptor. */
export function markerOf(word: string): HereMarker | undefined {
  const [, dash, quoted = ''] = /^[0-9]*<<(-?)\s*([^<\s][^<]*)$/u.exec(word) ?? [];
  const { words, open } = splitQuoted(quoted, '\\');
  const name = quoted.replaceAll(/\\(.)|["']/gsu, '$1');
  if (open || words.length !== 1 || words[0] !== quoted || name === '') return undefined;
  return { name, expand: !/["'\\]/u.test(quoted), chomp: dash === '-' };
}

/** What the document says. */
export function contentOf({ raw, chomp }: HereDocument): string {
  return chomp ? raw.replaceAll(/(?<=^|\n)\t+/gu, '') : raw;
}

/**
 * The name of the file that a document becomes.
 * @throws BangerError `usage`
 */
export function fileNameOf({ name }: HereMarker): string {
  if (name.includes('/') || /[\u0000-\u001f\u007f]/u.test(name) || /^\.{1,2}$/u.test(name)) {
    throw mistake(`here-document ${shown(name)} cannot be the name of a file`, 'name it EOF');
  }
  return name;
}
