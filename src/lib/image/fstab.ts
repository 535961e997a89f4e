/** One entry of an fstab(5). */
export interface FstabEntry {
  /** Of the file, from 1. */
  line: number;
  source: string;
  target: string;
  type: string;
  options: readonly string[];
}

export interface Fstab {
  entries: FstabEntry[];
  /** Numbers of lines that nobody understands: mount(8) and systemd pass them over. */
  malformed: number[];
}

const LEAST_FIELDS = 3;

/** As libmount reads it: fields between blanks, what is odd in them as octal numbers. */
export function parseFstab(text: string): Fstab {
  const fstab: Fstab = { entries: [], malformed: [] };
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/^[ \t]+|[ \t]+$/gu, '');
    if (line === '' || line.startsWith('#')) continue;
    const [source = '', target = '', type = '', options = 'defaults', ...numbers] = line
      .split(/[ \t]+/u)
      .map(decodeOctal);
    const isKnown =
      (target.startsWith('/') || type === 'swap' || target === 'none') &&
      numbers.slice(0, 2).every((number) => /^\d+$/u.test(number));
    if (line.split(/[ \t]+/u).length < LEAST_FIELDS || !isKnown || line.endsWith('\r')) {
      fstab.malformed.push(index + 1);
    } else fstab.entries.push({ line: index + 1, source, target, type, options: options.split(',') });
  }
  return fstab;
}

function decodeOctal(field: string): string {
  return field.replace(/\\([0-3][0-7]{2})/gu, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
