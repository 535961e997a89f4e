import type { BigIntStats } from 'node:fs';
import { identityOf } from '../system/file-identity.ts';

export type EntryType = 'file' | 'directory' | 'symlink';

/** The type of what is copied; null for what cannot be: FIFOs, sockets, devices. */
export function entryTypeOf(stats: BigIntStats): EntryType | null {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : null;
}

export interface EntryOptions {
  stats: BigIntStats;
  type: EntryType;
  /** What a symbolic link says. */
  target?: string;
}

/**
 * One thing to be copied. It knows its own name and the directory that it is in, so that a million of them stay small
 * however long their paths are. Names are text as `system/file-name.ts` has it: node:fs takes their paths by `fsPath`.
 */
export class ContextEntry {
  readonly type: EntryType;
  /** Permission bits, with setuid, setgid and sticky. */
  readonly mode: number;
  /** Bytes; of a file. */
  readonly size: number;
  readonly target: string | null;
  /** Of a file: what it was when it was found, as `identityOf` says it. */
  readonly identity: string | null;
  readonly #parent: ContextEntry | null;
  readonly #name: string;
  readonly #source: string | null;

  private constructor(
    place: { parent: ContextEntry | null; name: string; source: string | null },
    { stats, type, target }: EntryOptions,
  ) {
    this.type = type;
    this.mode = Number(stats.mode & 0o7777n);
    this.size = type === 'file' ? Number(stats.size) : 0;
    this.target = target ?? null;
    this.identity = type === 'file' ? identityOf(stats) : null;
    this.#parent = place.parent;
    this.#name = place.name;
    this.#source = place.source;
  }

  /**
   * A source itself. A directory is given no name: what is in it is copied, it is not. Where paths are kept, each has its
   * path for a name.
   */
  static ofSource(source: string, name: string, options: EntryOptions): ContextEntry {
    return new ContextEntry({ parent: null, name, source }, options);
  }

  within(name: string, options: EntryOptions): ContextEntry {
    return new ContextEntry({ parent: this, name, source: null }, options);
  }

  /** Whether it is a source itself, or a directory above one that is kept. */
  get isSource(): boolean {
    return this.#parent === null;
  }

  /** Below the place that it is copied to; empty for a directory that is a source itself. */
  get path(): string {
    return this.#names().join('/');
  }

  /** Where it is on this machine: an absolute path. */
  get source(): string {
    const names = this.#names();
    let top: ContextEntry = this;
    while (top.#parent !== null) top = top.#parent;
    const below = top.#name === '' ? names : names.slice(1);
    return [top.#source ?? '', ...below].join('/');
  }

  #names(): string[] {
    const names: string[] = [];
    for (let entry: ContextEntry | null = this; entry !== null; entry = entry.#parent) {
      if (entry.#name !== '') names.push(entry.#name);
    }
    return names.reverse();
  }
}
