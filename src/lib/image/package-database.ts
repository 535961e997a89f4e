import { childInode, childNames, textOfChild } from '../ext4/children.ts';
import { readContent } from '../ext4/content.ts';
import { lookup, readFile } from '../ext4/lookup.ts';
import type { Volume } from '../ext4/volume.ts';

// Which packages are installed in an image, as its own package manager has taken it down: dpkg (dpkg(1), deb-control(5)),
// its directory of an image without dpkg (status.d), or apk (apk-tools, "Installed database").

/** More than any has that was seen (a whole desktop's is 5 MB), in bytes. */
const MAX_BYTES = 64 * 1024 * 1024;
const DPKG_STATUS = '/var/lib/dpkg/status';
const DPKG_PARTS = '/var/lib/dpkg/status.d';
const APK_DATABASES = ['/lib/apk/db/installed', '/usr/lib/apk/db/installed'];
/** States in which a package's files are there (dpkg(1), Package states). */
const PRESENT = ['installed', 'unpacked', 'half-configured', 'triggers-awaited', 'triggers-pending'];

export interface InstalledPackage {
  name: string;
  version: string;
  architecture: string;
  /** What it was built from: the same name and version unless said otherwise. */
  source: string;
  source_version: string;
  maintainer: string | null;
  /** Names of what must be installed with it, each group of alternatives in their order. */
  depends: readonly (readonly string[])[];
  /** Names that it stands for besides its own. */
  provides: readonly string[];
}

export interface PackageDatabase {
  kind: 'dpkg' | 'apk';
  /** By name, then by architecture. */
  packages: readonly InstalledPackage[];
}

/**
 * The packages of an image; null when it has no such database.
 * @throws BangerError `corrupt`, or `preflight_failed` when a database is too large to be one
 */
export function readPackages(volume: Volume): PackageDatabase | null {
  const dpkg = readDpkg(volume);
  if (dpkg !== null) return { kind: 'dpkg', packages: sorted(dpkg) };
  for (const path of APK_DATABASES) {
    const text = readFile(volume, path, { limit: MAX_BYTES })?.toString();
    if (text !== undefined) return { kind: 'apk', packages: sorted(paragraphs(text).flatMap(apkPackage)) };
  }
  return null;
}

function readDpkg(volume: Volume): InstalledPackage[] | null {
  const whole = readFile(volume, DPKG_STATUS, { limit: MAX_BYTES })?.toString();
  const parts = readParts(volume);
  if (whole === undefined && parts === null) return null;
  return [
    ...paragraphs(whole ?? '')
      .filter(isPresent)
      .flatMap(debianPackage),
    ...(parts ?? []).flatMap(paragraphs).flatMap(debianPackage),
  ];
}

/** The files of status.d, but for those that list checksums. */
function readParts(volume: Volume): string[] | null {
  const directory = lookup(volume, DPKG_PARTS, { follow: true });
  if (directory?.type !== 'directory') return null;
  const texts: string[] = [];
  let room = MAX_BYTES;
  for (const { name, number } of childNames(volume, directory)) {
    const inode = childInode(volume, directory, number);
    if (inode.type !== 'file' || textOfChild(name).endsWith('.md5sums')) continue;
    const content = readContent(volume, inode, room);
    room -= content.length;
    texts.push(content.toString());
  }
  return texts;
}

type Fields = ReadonlyMap<string, string>;

/** Each a list of `Name: value`; a line that begins with a space continues the one before. */
function paragraphs(text: string): Fields[] {
  return text.split(/\n\n+/u).flatMap((paragraph) => {
    const fields = new Map<string, string>();
    for (const line of paragraph.split('\n')) {
      const colon = line.indexOf(':');
      if (colon > 0 && !/^[ \t]/u.test(line)) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
    }
    return fields.size === 0 ? [] : [fields];
  });
}

function isPresent(fields: Fields): boolean {
  return PRESENT.includes(fields.get('Status')?.split(' ')[2] ?? '');
}

function debianPackage(fields: Fields): InstalledPackage[] {
  const [name, version] = [fields.get('Package'), fields.get('Version')];
  if (!name || !version) return [];
  // Source: name (version), either left out where it is the same.
  const [, source = name, sourceVersion = version] =
    /^(\S+)(?:\s+\(([^)]+)\))?$/u.exec(fields.get('Source') ?? '') ?? [];
  return [
    {
      name,
      version,
      architecture: fields.get('Architecture') ?? '',
      source,
      source_version: sourceVersion,
      maintainer: fields.get('Maintainer') ?? null,
      depends: [...alternatives(fields.get('Pre-Depends')), ...alternatives(fields.get('Depends'))],
      provides: alternatives(fields.get('Provides')).flat(),
    },
  ];
}

/** `a (>= 1) | b:any, c` as names alone. */
function alternatives(relations = ''): string[][] {
  return relations
    .split(',')
    .map((group) => group.split('|').flatMap((one) => /^\s*([a-z0-9][a-z0-9+.-]*)/u.exec(one)?.[1] ?? []))
    .filter((group) => group.length > 0);
}

function apkPackage(fields: Fields): InstalledPackage[] {
  const [name, version] = [fields.get('P'), fields.get('V')];
  if (!name || !version) return [];
  const words = (key: string): string[] =>
    (fields.get(key) ?? '').split(/\s+/u).flatMap((word) => /^[^!<>=~\s][^<>=~\s]*/u.exec(word)?.[0] ?? []);
  return [
    {
      name,
      version,
      architecture: fields.get('A') ?? '',
      source: fields.get('o') ?? name,
      source_version: version,
      maintainer: fields.get('m') ?? null,
      depends: words('D').map((word) => [word]),
      provides: words('p'),
    },
  ];
}

/** Each once, as the last paragraph of it has it. */
function sorted(packages: readonly InstalledPackage[]): InstalledPackage[] {
  const byKey = new Map(packages.map((one) => [`${one.name}\0${one.architecture}`, one]));
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}
