import { lstatSync } from 'node:fs';
import { posix } from 'node:path';
import { BangerError } from '../errors.ts';
import { fsPath, readNames } from '../system/file-name.ts';
import { oneLine } from '../text.ts';
import { Glob, type Progress } from './glob.ts';
import { cleanPath, type Directory, type PatternList } from './patterns.ts';
import { locate } from './place.ts';
import type { Reading } from './reading.ts';

const WILDCARD = /(?<!\\)(?:\\\\)*[*?[]/u;

/** The parts of a source that stand for themselves, and the pattern that follows; null where there is none. */
export function splitSource(source: string): { fixed: string; pattern: string | null } {
  const parts = cleanPath(source).split('/');
  const first = parts.findIndex((part) => WILDCARD.test(part));
  const fixed = (first === -1 ? parts : parts.slice(0, first)).join('/').replace(/\\(.)/gsu, '$1');
  return { fixed, pattern: first === -1 ? null : parts.slice(first).join('/') };
}

/**
 * How many names in front of a source are not kept: those before `/./`, none where it stands nowhere
 * (Dockerfile reference, COPY --parents).
 */
export function keptFrom(source: string): number {
  const pivot = source.indexOf('/./');
  const above = pivot === -1 ? '' : cleanPath(source.slice(0, pivot));
  if (above.split('/').includes('**')) {
    throw new BangerError(
      'usage',
      `${oneLine(source)}: before /./ nothing can stand for any number of directories`,
    );
  }
  return above === '' ? 0 : above.split('/').length;
}

export interface Expanded {
  paths: readonly string[];
  isPattern: boolean;
}

/** A directory in which a pattern may still match something. */
interface Waiting {
  path: string;
  progress: Progress;
  ignore: Directory;
}

/**
 * The paths from a context's root that a source of COPY or ADD names, symbolic links not followed yet: the source itself, or
 * all that its pattern matches, in an order that is always the same. Patterns are Go's path/filepath.Match; a part `**` is
 * any number of directories, as `COPY --parents` and buildah have it. They go through no link, nor into what they match.
 * @throws BangerError `usage` for a bad pattern, and for nothing
 */
export async function expandSource(
  source: string,
  root: string,
  ignore: PatternList,
  reading: Reading,
): Promise<Expanded> {
  // What an unset variable leaves behind would be the whole context.
  if (source === '') throw new BangerError('usage', 'an empty source names nothing to copy');
  const { fixed, pattern } = splitSource(source);
  if (pattern === null) return { paths: [fixed], isPattern: false };
  const glob = new Glob(pattern, 'stays');
  const start = reading.attempt(fixed, () => locate(root, fixed));
  const paths: string[] = [];
  if (!start?.stats.isDirectory()) return { paths, isPattern: true };
  const waiting: Waiting[] = [
    { path: start.path, progress: glob.start, ignore: ignore.enterAll(start.path) },
  ];
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    const path = directory.path === '' ? root : `${root}/${directory.path}`;
    const below: Waiting[] = [];
    for (const name of reading.attempt(path, () => readNames(path)) ?? []) {
      if (reading.isTired) await reading.rest();
      const match = matchName(directory, name, { root, glob, ignore }, reading);
      if (match === 'matches') paths.push(posix.join(directory.path, name));
      else if (match !== null) below.push(match);
    }
    for (const next of below.reverse()) waiting.push(next);
  }
  return { paths, isPattern: true };
}

/** What a name in a directory is to a pattern: what it is for, a directory where that may be, or nothing. */
function matchName(
  directory: Waiting,
  name: string,
  { root, glob, ignore }: { root: string; glob: Glob; ignore: PatternList },
  reading: Reading,
): Waiting | 'matches' | null {
  const reached = glob.advance(directory.progress, name);
  const progress = glob.advance(reached, '/');
  const isMatch = glob.isComplete(reached);
  if (!isMatch && progress.length === 0) return null;
  const path = posix.join(directory.path, name);
  const stats = reading.attempt(path, () => lstatSync(fsPath(`${root}/${path}`)));
  const own = stats?.isDirectory() ? ignore.enter(directory.ignore, name) : null;
  const { excluded } = own ?? ignore.judge(directory.ignore, name);
  if (excluded && !own?.hasExceptions) return null;
  if (isMatch) return 'matches';
  return own === null ? null : { path, progress, ignore: own };
}
