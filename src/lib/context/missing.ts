import { posix } from 'node:path';
import { errnoOf, type Fault } from '../errors.ts';
import { nearestTo } from '../nearest.ts';
import { readNames } from '../system/file-name.ts';
import { oneLine, shellWord } from '../text.ts';
import type { IgnoreFile } from './ignore-file.ts';
import { cleanPath } from './patterns.ts';
import { locate } from './place.ts';

/** More names than these are not compared. */
const MANY_NAMES = 10_000;

/** Why a source names nothing that can be copied, and what to do: it is spelled otherwise, or it is left out. */
export function missingSource(
  source: string,
  { root, ignoreFile }: { root: string; ignoreFile: IgnoreFile },
  isFiltered: boolean,
): Fault {
  const shown = `'${oneLine(source).slice(0, 200)}'`;
  if (isFiltered) {
    return { message: `--exclude leaves nothing of ${shown}`, mend: 'copy something else, or exclude less' };
  }
  const path = cleanPath(source);
  const place = locate(root, path);
  if (place !== null) {
    const by = decidingLine(place.path, ignoreFile) ?? decidingLine(path, ignoreFile);
    if (by !== null) {
      const file = oneLine(ignoreFile.path ?? '');
      return {
        message: `${shown} is left out of the build context by line ${by.line} of ${file}: ${by.text}`,
        mend: `take it in again by a later line of ${file}: !${oneLine(path)}`,
      };
    }
    return {
      message: `${shown} is a pattern that matches nothing in ${oneLine(root)}`,
      mend: `there is a file of that name: write \\ before each * ? [ in it`,
    };
  }
  return {
    message: `${shown} is not in the build context ${oneLine(root)}`,
    mend: nearestName(root, path) ?? `look at what is there: ls -A ${shellWord(root)}`,
  };
}

function decidingLine(path: string, { patterns }: IgnoreFile): { line: number; text: string } | null {
  const { by, excluded } = patterns.enterAll(path);
  return excluded && by !== null ? { line: by.line, text: oneLine(by.text) } : null;
}

/** The nearest name in the directory where it should be. */
function nearestName(root: string, path: string): string | null {
  const above = cleanPath(posix.dirname(path));
  const directory = locate(root, above);
  if (!directory?.stats.isDirectory()) return null;
  const [nearest] = nearestTo(
    posix.basename(path),
    namesIn(`${root}/${directory.path}`).slice(0, MANY_NAMES),
  );
  if (nearest === undefined) return null;
  return `did you mean '${oneLine(above === '' ? nearest : `${above}/${nearest}`)}'?`;
}

/** For a guess: a directory that may be searched need not be readable. */
function namesIn(directory: string): string[] {
  try {
    return readNames(directory);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return [];
  }
}
