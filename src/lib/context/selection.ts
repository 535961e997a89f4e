import { posix } from 'node:path';
import { oneLine } from '../text.ts';
import { ContextEntry } from './entry.ts';
import type { IgnoreFile } from './ignore-file.ts';
import { missingSource } from './missing.ts';
import type { PatternList } from './patterns.ts';
import { locate, type Place } from './place.ts';
import type { Reading } from './reading.ts';
import { type Expanded, expandSource, keptFrom } from './source.ts';
import { entryOptions, selectTree } from './tree.ts';

/** What sources are looked for in. */
export interface Ground {
  /** The context's directory, an absolute path. */
  root: string;
  ignoreFile: IgnoreFile;
  /** Of `--exclude`: paths from each source; of one that is a file, or is matched by a pattern, its name. */
  exclude: PatternList;
}

/**
 * What the sources of one COPY or ADD name, source after source.
 * @throws PreflightError with every source that names nothing, and all that cannot be read or copied
 */
export async function selectSources(
  sources: readonly string[],
  ground: Ground,
  reading: Reading,
  parents = false,
): Promise<ContextEntry[]> {
  const selected: ContextEntry[] = [];
  for (const source of sources) {
    const before = reading.faultCount;
    const expanded = await expandSource(source, ground.root, ground.ignoreFile.patterns, reading);
    const base = parents ? keptFrom(source) : null;
    const { entries, isFiltered } = await selectExpanded(expanded, base, ground, reading);
    // One by one: a million arguments are too many for a call.
    for (const entry of entries) selected.push(entry);
    if (entries.length > 0 || reading.faultCount > before) continue;
    const { message, mend } = missingSource(source, ground, isFiltered);
    reading.addFault(message, mend);
  }
  reading.end();
  return selected;
}

interface Selected {
  entries: ContextEntry[];
  /** Whether `--exclude` left something out. */
  isFiltered: boolean;
}

async function selectExpanded(
  { paths, isPattern }: Expanded,
  base: number | null,
  ground: Ground,
  reading: Reading,
): Promise<Selected> {
  const selected: Selected = { entries: [], isFiltered: false };
  for (const path of paths) {
    if (reading.isTired) await reading.rest();
    const isExcluded = ground.exclude.judge(ground.exclude.root, posix.basename(path)).excluded;
    if (isPattern && isExcluded) {
      selected.isFiltered = true;
      continue;
    }
    const before = reading.faultCount;
    const place = reading.attempt(path, () => locate(ground.root, path));
    if (place === null) {
      if (isPattern && reading.faultCount === before) addDanglingLink(path, reading);
    } else if (isExcluded && !place.stats.isDirectory()) {
      selected.isFiltered = true;
    } else if (!isLeftOut(place, ground.ignoreFile)) {
      const above = base === null ? [] : keptAbove(path, base, ground.root, reading);
      const kept = base === null ? '' : path.split('/').slice(base).join('/');
      const entries = await selectPlace(path, place, kept, ground, reading);
      if (entries.length > 0) selected.entries.push(...above);
      for (const entry of entries) selected.entries.push(entry);
    }
  }
  return selected;
}

/** The directories above what is copied with its path, as they are. */
function keptAbove(path: string, base: number, root: string, reading: Reading): ContextEntry[] {
  const names = path.split('/');
  const entries: ContextEntry[] = [];
  for (let end = base + 1; end < names.length; end += 1) {
    const above = names.slice(0, end).join('/');
    const place = reading.attempt(above, () => locate(root, above));
    if (!place?.stats.isDirectory()) continue;
    const kept = names.slice(base, end).join('/');
    entries.push(
      ContextEntry.ofSource(`${root}/${place.path}`, kept, { stats: place.stats, type: 'directory' }),
    );
  }
  return entries;
}

function addDanglingLink(path: string, reading: Reading): void {
  reading.addFault(
    `${oneLine(path)} is a symbolic link that leads to nothing in the build context`,
    'leave it out by a line of .dockerignore, or by --exclude',
  );
}

/** Whether `.dockerignore` leaves out a file, or a link on the way to it. */
function isLeftOut({ path, links }: Place, { patterns }: IgnoreFile): boolean {
  const own = patterns.enterAll(path);
  return (own.excluded && !own.hasExceptions) || links.some((link) => patterns.enterAll(link).excluded);
}

async function selectPlace(
  path: string,
  { path: real, stats }: Place,
  kept: string,
  { root, ignoreFile, exclude }: Ground,
  reading: Reading,
): Promise<ContextEntry[]> {
  const source = real === '' ? root : `${root}/${real}`;
  if (!stats.isDirectory()) {
    const options = entryOptions(source, stats, reading);
    return options === null ? [] : [ContextEntry.ofSource(source, kept || posix.basename(path), options)];
  }
  const top = ContextEntry.ofSource(source, kept, { stats, type: 'directory' });
  const ignore = ignoreFile.patterns;
  return selectTree(top, ignore.enterAll(real), { ignore, exclude }, reading);
}
