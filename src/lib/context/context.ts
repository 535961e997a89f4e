import { realpathSync, statSync } from 'node:fs';
import { errnoOf, PreflightError } from '../errors.ts';
import { fsPath, textOfName } from '../system/file-name.ts';
import { oneLine } from '../text.ts';
import { type ContextDigest, digestEntries } from './digest.ts';
import type { ContextEntry } from './entry.ts';
import { NOTHING_IGNORED, readIgnoreFile } from './ignore-file.ts';
import { cleanPath, PatternList, parsePattern } from './patterns.ts';
import { locate } from './place.ts';
import { changedWhileRead, Reading } from './reading.ts';
import { RememberedDigests } from './remembered.ts';
import { selectSources } from './selection.ts';

export interface ContextOptions {
  /** The directory that COPY and ADD take files from. */
  directory: string;
  /** Beside a recipe its own list of what to leave out may be: `<recipe>.dockerignore`. */
  recipePath?: string | undefined;
  /** Whether a list of what to leave out is obeyed (default: yes). */
  ignores?: boolean;
  /** Where digests are remembered between runs; nothing there is needed. */
  cacheDir: string;
  signal: AbortSignal;
}

export interface SelectOptions {
  /** Of `--exclude`. */
  exclude?: readonly string[];
  /** Of `--chown`; root without it. */
  owner?: string;
  /** Of `--parents`: whether what is copied keeps its path from the context, or from where `/./` stands in its source. */
  parents?: boolean;
}

/** What one COPY or ADD takes from a context. */
export interface ContextSelection {
  readonly entries: readonly ContextEntry[];
  /**
   * Reads what has changed since it was last read.
   * @throws PreflightError naming a file that changed since it was found, or cannot be read
   */
  digest(): Promise<ContextDigest>;
}

/** A directory that an image is built from, without what `.dockerignore` leaves out of it. */
export interface Context {
  /** Its absolute path, free of symbolic links. */
  readonly root: string;
  /** The file that leaves things out, if there is one. */
  readonly ignorePath: string | null;
  /**
   * Finds what sources name, following Docker: paths begin at the context and never lead out of it, links to sources are
   * followed inside it, of a directory its content is taken.
   * @throws PreflightError with all sources that name nothing, and all that cannot be read or copied
   * @throws BangerError `usage` for a bad pattern
   */
  resolve(sources: readonly string[], options?: SelectOptions): Promise<ContextSelection>;
  /**
   * What one path names, which is no pattern: all in it that `.dockerignore` does not leave out.
   * @throws PreflightError as `resolve` does
   */
  select(path: string): Promise<ContextPlace>;
}

/** A file or directory of a context. */
export interface ContextPlace extends ContextSelection {
  /** Where it is on this machine, symbolic links followed inside the context. */
  readonly path: string;
  readonly isDirectory: boolean;
  /** Whether nothing in it is left out, so that it may be seen as it is. */
  readonly isWhole: boolean;
}

/**
 * @throws PreflightError when it is no directory, or its list of what to leave out cannot be understood
 */
export function openContext({
  directory,
  recipePath,
  ignores = true,
  cacheDir,
  signal,
}: ContextOptions): Context {
  const root = findRoot(directory);
  const ignoreFile = ignores ? readIgnoreFile(root, recipePath) : NOTHING_IGNORED;
  const remembered = new RememberedDigests(cacheDir, root);
  const context: Context = {
    root,
    ignorePath: ignoreFile.path,
    async resolve(sources, { exclude = [], owner = '0:0', parents = false } = {}) {
      const patterns = exclude.map((text, index) => parsePattern(text, index + 1));
      const ground = {
        root,
        ignoreFile,
        exclude: new PatternList(patterns.filter((pattern) => pattern !== null)),
      };
      const entries = await selectSources(sources, ground, new Reading(signal), parents);
      return {
        entries,
        digest: () => digestEntries(entries, owner, { remembered, reading: new Reading(signal) }),
      };
    },
    async select(path) {
      const source = path.replace(/[\\*?[]/gu, '\\$&');
      const selection = await context.resolve([source]);
      const place = locate(root, cleanPath(path));
      // It was there a moment before.
      if (place === null) throw changedWhileRead(path);
      const isDirectory = place.stats.isDirectory();
      const everything = { root, ignoreFile: NOTHING_IGNORED, exclude: new PatternList([]) };
      const isWhole =
        !isDirectory ||
        ignoreFile.path === null ||
        (await selectSources([source], everything, new Reading(signal))).length === selection.entries.length;
      return {
        ...selection,
        path: place.path === '' ? root : `${root}/${place.path}`,
        isDirectory,
        isWhole,
      };
    },
  };
  return context;
}

function findRoot(directory: string): string {
  const fault = (why: string): PreflightError =>
    new PreflightError('build context', [
      { message: `${oneLine(directory)} ${why}`, mend: 'give the directory that COPY takes files from' },
    ]);
  try {
    const root = textOfName(realpathSync.native(fsPath(directory), 'buffer'));
    if (statSync(fsPath(root)).isDirectory()) return root;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    throw fault(errno === 'ENOENT' ? 'does not exist' : `cannot be used (${errno})`);
  }
  throw fault('is not a directory');
}
