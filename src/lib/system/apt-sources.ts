import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoOf } from '../errors.ts';

/** One enabled entry of apt's configuration (sources.list(5)). */
export interface AptSource {
  /** The file it stands in. */
  file: string;
  types: readonly string[];
  uris: readonly string[];
  suites: readonly string[];
  /** Empty for a flat repository, whose suite ends in a slash. */
  components: readonly string[];
  /** By name in small letters, as deb822 spells them: `signed-by`, `architectures`, `trusted` … */
  options: ReadonlyMap<string, string>;
}

/** Options that one-line entries spell differently than deb822 fields. */
const FIELD_OF_OPTION: Readonly<Record<string, string>> = {
  arch: 'architectures',
  lang: 'languages',
  target: 'targets',
};

const LIST_OF_VALUES = /[\s,]+/u;

/** The entries of a deb822 file, one stanza each; those with `Enabled: no` are left out. */
export function parseDeb822Sources(text: string, file: string): AptSource[] {
  return stanzasOf(text).flatMap((fields) => {
    const { enabled, types, uris, suites, components, ...options } = Object.fromEntries(fields);
    if (/^(?:no|false|0|off|without|disable)$/iu.test(enabled ?? 'yes')) return [];
    if (types === undefined || uris === undefined || suites === undefined) return [];
    return [
      {
        file,
        types: words(types),
        uris: words(uris),
        suites: words(suites),
        components: words(components ?? ''),
        options: new Map(Object.entries(options)),
      },
    ];
  });
}

/** Fields by name in small letters. Continued lines keep their line breaks: Signed-By may hold a whole key. */
function stanzasOf(text: string): Map<string, string>[] {
  const stanzas: Map<string, string>[] = [];
  let fields = new Map<string, string>();
  let last: string | undefined;
  for (const line of [...text.split('\n'), '']) {
    if (line.startsWith('#')) continue;
    const [, name, value] = /^([A-Za-z0-9-]+)[ \t]*:(.*)$/u.exec(line) ?? [];
    if (line.trim() === '') {
      if (fields.size > 0) stanzas.push(fields);
      fields = new Map();
      last = undefined;
    } else if (/^[ \t]/u.test(line) && last !== undefined) {
      fields.set(last, `${fields.get(last)}\n${line.trim()}`.trim());
    } else if (name !== undefined && value !== undefined) {
      last = name.toLowerCase();
      fields.set(last, value.trim());
    }
  }
  return stanzas;
}

/** The entries of a one-line file: `deb [option=value …] uri suite [component …]`. */
export function parseOneLineSources(text: string, file: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const [, type, bracket = '', rest = ''] =
      /^\s*(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(.*)$/u.exec(line.replace(/#.*$/u, '')) ?? [];
    const [uri, suite, ...components] = rest.split(/\s+/u).filter((word) => word !== '');
    if (type === undefined || uri === undefined || suite === undefined) return [];
    return [
      { file, types: [type], uris: [uri], suites: [suite], components, options: oneLineOptions(bracket) },
    ];
  });
}

function oneLineOptions(text: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(/([A-Za-z-]+)[+-]?=(\S+)/gu)) {
    const field = name.toLowerCase();
    options.set(FIELD_OF_OPTION[field] ?? field, value.replaceAll(',', ' '));
  }
  return options;
}

function words(text: string): string[] {
  return text.split(LIST_OF_VALUES).filter((word) => word !== '');
}

/** Entries as a deb822 file, in order. */
export function formatDeb822Sources(sources: readonly AptSource[]): string {
  return sources
    .map(({ types, uris, suites, components, options }) =>
      [
        `Types: ${types.join(' ')}`,
        `URIs: ${uris.join(' ')}`,
        `Suites: ${suites.join(' ')}`,
        ...(components.length === 0 ? [] : [`Components: ${components.join(' ')}`]),
        ...[...options].map(([name, value]) => `${titleCase(name)}: ${value.replaceAll('\n', '\n ')}`),
        '',
      ].join('\n'),
    )
    .join('\n');
}

function titleCase(field: string): string {
  return field.replace(/(?:^|-)[a-z]/gu, (letter) => letter.toUpperCase());
}

/** The addresses in a list of mirrors (apt-transport-mirror(1)): one a line, metadata after a tab. */
export function parseMirrorList(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [uri] = line.replace(/#.*$/u, '').trim().split(/\s/u);
    return uri ? [uri] : [];
  });
}

/** What this machine's apt is configured with, in apt's own order; files that we may not read are left out. */
export async function readAptSources(directory = '/etc/apt'): Promise<AptSource[]> {
  const parts = join(directory, 'sources.list.d');
  const names = (await listDirectory(parts)).sort();
  // apt takes names of these characters only (sources.list(5)).
  const files = names
    .filter((name) => /^[\w.-]+\.(?:list|sources)$/u.test(name))
    .map((name) => join(parts, name));
  const sources: AptSource[] = [];
  for (const file of [join(directory, 'sources.list'), ...files]) {
    const text = await readIfAllowed(file);
    if (text === null) continue;
    const parse = basename(file).endsWith('.sources') ? parseDeb822Sources : parseOneLineSources;
    sources.push(...(await Promise.all(parse(text, file).map(withMirrorsResolved))));
  }
  return sources;
}

/** A list of mirrors on this machine is of no use to a guest: the first of its addresses takes its place. */
async function withMirrorsResolved(source: AptSource): Promise<AptSource> {
  const uris = await Promise.all(
    source.uris.map(async (uri) => {
      const [, path] = /^mirror\+file:(?:\/\/)?(\/.*)$/u.exec(uri) ?? [];
      if (path === undefined) return uri;
      const text = await readIfAllowed(path);
      return text === null ? uri : (parseMirrorList(text)[0] ?? uri);
    }),
  );
  return { ...source, uris };
}

async function listDirectory(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

async function readIfAllowed(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isAbsent(error)) return null;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR'].includes(errnoOf(error) ?? '');
}
