import { join } from 'node:path';
import { BangerError, FaultList } from '../errors.ts';
import { textOfName } from '../system/file-name.ts';
import { isThere } from '../system/filesystem.ts';
import { openRegular } from '../system/regular-file.ts';
import { oneLine } from '../text.ts';
import { type Pattern, PatternList, parsePattern } from './patterns.ts';
import { readError } from './reading.ts';

/** What leaves files out of a context. */
export interface IgnoreFile {
  /** Null where there is no such file. */
  path: string | null;
  patterns: PatternList;
}

export const NOTHING_IGNORED: IgnoreFile = { path: null, patterns: new PatternList([]) };

const NAMES = ['.containerignore', '.dockerignore'];
/** More than anybody writes, in bytes. */
const MAX_BYTES = 4 * 1024 * 1024;
const BYTE_ORDER_MARK = '\ufeff';

/**
 * Reads the file that says what a context leaves out: the recipe's own (`<recipe>.dockerignore`), else the context's;
 * `.containerignore` goes before `.dockerignore` (containerignore(5)).
 * @throws PreflightError with every line of it that is no pattern; `preflight_failed` when it cannot be read
 */
export function readIgnoreFile(directory: string, recipePath: string | undefined): IgnoreFile {
  const own = recipePath === undefined ? [] : ['.dockerignore', '.containerignore'];
  const candidates = [
    ...own.map((suffix) => `${recipePath}${suffix}`),
    ...NAMES.map((name) => join(directory, name)),
  ];
  const path = candidates.find((candidate) => {
    try {
      return isThere(candidate);
    } catch (error) {
      throw readError(candidate, error);
    }
  });
  if (path === undefined) return NOTHING_IGNORED;
  return { path, patterns: new PatternList(parseLines(path, readText(path))) };
}

function readText(path: string): string {
  const file = openRegular(path);
  try {
    if (file.size > MAX_BYTES) {
      throw new BangerError('preflight_failed', `${oneLine(path)} is too large to be a list of patterns`);
    }
    return textOfName(file.readAt(0, file.size));
  } finally {
    file.close();
  }
}

/** A line with `#` in its first column is a comment, wherever else it stands it is part of a name. */
function parseLines(path: string, text: string): Pattern[] {
  const faults = new FaultList();
  const patterns: Pattern[] = [];
  for (const [index, line] of text.replace(BYTE_ORDER_MARK, '').split('\n').entries()) {
    if (line.startsWith('#')) continue;
    try {
      const pattern = parsePattern(line, index + 1);
      if (pattern !== null) patterns.push(pattern);
    } catch (error) {
      if (!(error instanceof BangerError)) throw error;
      faults.add(
        `line ${index + 1}: ${error.message}`,
        error.hints[0] ?? 'take the line out, or complete it',
      );
    }
  }
  faults.throwIfAny(oneLine(path));
  return patterns;
}
