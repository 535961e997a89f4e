import { type BigIntStats, lstatSync } from 'node:fs';
import { fsPath, readLink, readNames } from '../system/file-name.ts';
import { oneLine } from '../text.ts';
import { type ContextEntry, type EntryOptions, entryTypeOf } from './entry.ts';
import type { Directory, PatternList } from './patterns.ts';
import type { Reading } from './reading.ts';

/** Which files are left out: of the context, and of what one instruction copies. */
export interface Filters {
  /** Of `.dockerignore`: paths from the context's root. */
  ignore: PatternList;
  /** Of `--exclude`: paths from the source. */
  exclude: PatternList;
}

/** What both filters say of a directory. */
interface Filtered {
  ignore: Directory;
  exclude: Directory;
}

/** A directory on the way through the tree. */
interface Stop extends Filtered {
  entry: ContextEntry;
  path: string;
  names: readonly string[];
  next: number;
  isTaken: boolean;
}

/**
 * A directory and all in it that no filter leaves out, in an order that is always the same: a directory before what is
 * in it, names by their bytes. Symbolic links stand for themselves, mount points are gone through. A directory that is left
 * out is still there when something in it is not; one in which nothing can be is not read.
 * @param ignore what `.dockerignore` says of the directory
 * @returns nothing when the directory is left out, and all that is in it
 */
export async function selectTree(
  top: ContextEntry,
  ignore: Directory,
  filters: Filters,
  reading: Reading,
): Promise<ContextEntry[]> {
  const selected: ContextEntry[] = [];
  const way: Stop[] = [];

  const take = (entry: ContextEntry): void => {
    // A directory is taken no later than what is in it: when the last one is, all are.
    if (way.at(-1)?.isTaken === false) {
      for (const stop of way.filter(({ isTaken }) => !isTaken)) {
        selected.push(stop.entry);
        stop.isTaken = true;
      }
    }
    selected.push(entry);
  };

  const enter = (entry: ContextEntry, path: string, own: Filtered): void => {
    const isTaken = !own.ignore.excluded && !own.exclude.excluded;
    if (isTaken) take(entry);
    const names = reading.attempt(path, () => readNames(path));
    if (names !== null) way.push({ entry, path, names, next: 0, isTaken, ...own });
  };

  enter(top, top.source, { ignore, exclude: filters.exclude.root });
  for (let stop = way.at(-1); stop !== undefined; stop = way.at(-1)) {
    if (reading.isTired) await reading.rest();
    const name = stop.names[stop.next];
    stop.next += 1;
    if (name === undefined) {
      way.pop();
      continue;
    }
    const path = `${stop.path}/${name}`;
    const stats = reading.attempt(path, () => lstatSync(fsPath(path), { bigint: true }));
    if (stats?.isDirectory()) {
      const own = {
        ignore: filters.ignore.enter(stop.ignore, name),
        exclude: filters.exclude.enter(stop.exclude, name),
      };
      if (!mayHoldAny(own.ignore) || !mayHoldAny(own.exclude)) continue;
      enter(stop.entry.within(name, { stats, type: 'directory' }), path, own);
    } else if (stats !== null && !leavesOut(filters, stop, name)) {
      const options = entryOptions(path, stats, reading);
      if (options !== null) take(stop.entry.within(name, options));
    }
  }
  return selected;
}

function mayHoldAny({ excluded, hasExceptions }: Directory): boolean {
  return !excluded || hasExceptions;
}

function leavesOut({ ignore, exclude }: Filters, directory: Filtered, name: string): boolean {
  return ignore.judge(directory.ignore, name).excluded || exclude.judge(directory.exclude, name).excluded;
}

/** What an entry is made of; null, and a fault, for what cannot be copied. */
export function entryOptions(path: string, stats: BigIntStats, reading: Reading): EntryOptions | null {
  const type = entryTypeOf(stats);
  if (type === null) {
    const kind = stats.isFIFO() ? 'FIFO' : stats.isSocket() ? 'socket' : 'device';
    reading.addFault(
      `${oneLine(path)} is a ${kind}, which cannot be copied`,
      'leave it out by a line of .dockerignore',
    );
    return null;
  }
  if (type !== 'symlink') return { stats, type };
  const target = reading.attempt(path, () => readLink(path));
  return target === null ? null : { stats, type, target };
}
