import { posix } from 'node:path';
import { BangerError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { Glob, type Progress } from './glob.ts';

/** One that leaves files out, or with `!` takes them in again. */
export interface Pattern {
  glob: Glob;
  isException: boolean;
  /** As it was written. */
  text: string;
  /** Counted from 1, of the file or the list that it is from. */
  line: number;
}

/** What a path has to do with each pattern: how far it has come with it, and whether it or a directory above matched. */
interface Standing {
  progress: readonly Progress[];
  matched: readonly boolean[];
}

export interface Verdict {
  excluded: boolean;
  /** The pattern that decided. */
  by: Pattern | null;
}

/** A directory as patterns see it. */
export interface Directory extends Verdict, Standing {
  /** Whether something in it can be taken in although it is left out itself. */
  hasExceptions: boolean;
}

/**
 * Patterns in the way of `.dockerignore`: one that matches a directory matches all that is in it, and of those that match
 * a path the last decides.
 */
export class PatternList {
  readonly root: Directory;
  readonly #patterns: readonly Pattern[];

  constructor(patterns: readonly Pattern[]) {
    this.#patterns = patterns;
    this.root = {
      progress: patterns.map(({ glob }) => glob.start),
      matched: patterns.map(() => false),
      excluded: false,
      by: null,
      hasExceptions: false,
    };
  }

  /** Whether something in a directory, no directory itself, is left out. */
  judge(parent: Standing, name: string): Verdict {
    for (let index = this.#patterns.length - 1; index >= 0; index -= 1) {
      const pattern = this.#patterns[index];
      const progress = parent.progress[index];
      if (pattern === undefined || progress === undefined) continue;
      if (parent.matched[index] || pattern.glob.isComplete(pattern.glob.advance(progress, name))) {
        return { excluded: !pattern.isException, by: pattern };
      }
    }
    return { excluded: false, by: null };
  }

  /** A directory in another one. */
  enter(parent: Standing, name: string): Directory {
    const matched: boolean[] = [];
    const progress = this.#patterns.map(({ glob }, index) => {
      const own = glob.advance(parent.progress[index] ?? [], name);
      matched.push((parent.matched[index] ?? false) || glob.isComplete(own));
      return glob.advance(own, '/');
    });
    const last = matched.lastIndexOf(true);
    const by = this.#patterns[last] ?? null;
    const excluded = by !== null && !by.isException;
    // What matched the directory matches all in it: only one after that can still take something in.
    const hasExceptions = this.#patterns.some(
      ({ isException }, index) => isException && index > last && (progress[index]?.length ?? 0) > 0,
    );
    return { progress, matched, excluded, by, hasExceptions };
  }

  /** The same of a whole path, a directory's. */
  enterAll(path: string): Directory {
    if (path === '') return this.root;
    return path.split('/').reduce((directory, name) => this.enter(directory, name), this.root);
  }
}

/**
 * A pattern of `.dockerignore` or of `--exclude`; null for one that stands for nothing: an empty one and `.`, which is
 * ignored (Dockerfile reference, .dockerignore file).
 * @throws BangerError `usage`
 */
export function parsePattern(text: string, line: number): Pattern | null {
  const trimmed = text.trim();
  const isException = trimmed.startsWith('!');
  const path = isException ? trimmed.slice(1).trim() : trimmed;
  if (isException && path === '') {
    throw new BangerError('usage', `'${oneLine(trimmed)}' takes nothing in again: a pattern follows the !`);
  }
  const clean = withoutSlashes(posix.normalize(path));
  if (clean === '' || clean === '.') return null;
  return { glob: new Glob(clean, 'crosses'), isException, text: trimmed, line };
}

/**
 * A path from the root of a context, whatever it was written as: no `.`, no `..` (which ends at the root), no empty part,
 * no slash at either end; the root itself is empty.
 */
export function cleanPath(path: string): string {
  return withoutSlashes(posix.normalize(`/${path}`));
}

function withoutSlashes(path: string): string {
  return path.replace(/^\/+|\/+$/gu, '');
}
