import { mistake, shown } from './faults.ts';

export interface MountField {
  /** In lower case, by its longest name. */
  key: string;
  /** Null where there is no `=`. */
  value: string | null;
  written: string;
}

const ALIASES: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
  rw: 'readwrite',
};

/** `key=value,key,…`: comma-separated values (RFC 4180), so a field with a comma is in double quotes. */
export function mountFields(text: string): MountField[] {
  return separate(text).map((written) => {
    const equals = written.indexOf('=');
    const key = (equals === -1 ? written : written.slice(0, equals)).toLowerCase();
    const value = equals === -1 ? null : written.slice(equals + 1);
    return { key: Object.hasOwn(ALIASES, key) ? (ALIASES[key] ?? key) : key, value, written };
  });
}

/** What a mount takes from; nothing where it cannot be read, which is somebody else's to say. */
export function mountReferences(text: string): string[] {
  try {
    return mountFields(text).flatMap(({ key, value }) => (key === 'from' ? (value ?? []) : []));
  } catch {
    return [];
  }
}

function separate(text: string): string[] {
  const fields: string[] = [];
  for (let at = 0; at <= text.length; at += 1) {
    if (text[at] === '"') {
      const [quoted = ''] = /"(?:[^"]|"")*"(?=,|$)/uy[Symbol.match](text.slice(at)) ?? [];
      if (quoted === '') throw mistake(`${shown(text)}: a double quote is missing`);
      fields.push(quoted.slice(1, -1).replaceAll('""', '"'));
      at += quoted.length;
    } else {
      const comma = text.indexOf(',', at);
      const end = comma === -1 ? text.length : comma;
      fields.push(text.slice(at, end));
      at = end;
    }
  }
  return fields;
}
