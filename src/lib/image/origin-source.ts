import { posix } from 'node:path';
import { Glob } from '../context/glob.ts';
import { cleanPath, type Directory, PatternList, parsePattern } from '../context/patterns.ts';
import { keptFrom, splitSource } from '../context/source.ts';
import { PreflightError } from '../errors.ts';
import { heldAcl } from '../ext4/acl.ts';
import { attributesOf } from '../ext4/attributes.ts';
import { childInode, childNames, textOfChild } from '../ext4/children.ts';
import { piecesOf } from '../ext4/content.ts';
import type { Inode } from '../ext4/inode.ts';
import { linkTarget } from '../ext4/link-target.ts';
import { lookup } from '../ext4/lookup.ts';
import type { Volume } from '../ext4/volume.ts';
import { oneLine } from '../text.ts';
import { Turn } from '../turn.ts';
import { type CopyItem, noAttributes } from './copy-item.ts';

export interface OriginSelection {
  items: CopyItem[];
  /** What there is but cannot be copied: devices, FIFOs, sockets. */
  left: string[];
}

export interface OriginOptions {
  excludes: readonly string[];
  parents: boolean;
  signal: AbortSignal;
  /** The step, for messages. */
  where: string;
}

/**
 * What sources name in the filesystem of a stage or an image, by the rules of a build context: patterns are Go's
 * filepath.Match, links to sources are followed and lead nowhere but there, of a directory its content is taken. Owners and
 * hard links are kept (BuildKit, solver/llbsolver/file/backend.go, mapUserToChowner; fsutil, copy/hardlink.go).
 * @throws PreflightError with all sources that name nothing; BangerError `corrupt`
 */
export async function selectOrigin(
  volume: Volume,
  sources: readonly string[],
  { excludes, parents, signal, where }: OriginOptions,
): Promise<OriginSelection> {
  const patterns = excludes.map((text, index) => parsePattern(text, index + 1));
  const exclude = new PatternList(patterns.filter((pattern) => pattern !== null));
  const selecting = new Selecting(volume, exclude, new Turn(signal));
  const missing: string[] = [];
  for (const source of sources) {
    const paths = await selecting.expand(source);
    const base = parents ? keptFrom(source) : null;
    let isAny = false;
    for (const path of paths) isAny = (await selecting.take(path, base)) || isAny;
    if (!isAny) missing.push(source);
  }
  if (missing.length === 0) return selecting.selected;
  throw new PreflightError(
    where,
    missing.map((source) => ({
      message: `'${oneLine(source).slice(0, 200)}' is not where it is to be copied from`,
      mend: 'look at the stage or image that --from names',
    })),
  );
}

class Selecting {
  readonly selected: OriginSelection = { items: [], left: [] };
  readonly #volume: Volume;
  readonly #exclude: PatternList;
  readonly #turn: Turn;
  /** By the number of an inode, where it was first met. */
  readonly #names = new Map<number, string>();

  constructor(volume: Volume, exclude: PatternList, turn: Turn) {
    this.#volume = volume;
    this.#exclude = exclude;
    this.#turn = turn;
  }

  /** The paths that a source stands for, its links not followed yet. */
  async expand(source: string): Promise<string[]> {
    const { fixed, pattern } = splitSource(source);
    if (pattern === null) return [fixed];
    const glob = new Glob(pattern, 'stays');
    const start = lookup(this.#volume, fixed, { follow: true });
    const paths: string[] = [];
    const waiting = [{ inode: start, path: fixed, progress: glob.start }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { inode, path, progress } = next;
      if (inode?.type !== 'directory') continue;
      const below: typeof waiting = [];
      for (const child of childNames(this.#volume, inode)) {
        if (this.#turn.isOver) await this.#turn.rest();
        const name = textOfChild(child.name);
        const reached = glob.advance(progress, name);
        if (glob.isComplete(reached)) {
          paths.push(posix.join(path, name));
          continue;
        }
        const further = glob.advance(reached, '/');
        if (further.length === 0) continue;
        const own = childInode(this.#volume, inode, child.number);
        below.push({ inode: own, path: posix.join(path, name), progress: further });
      }
      waiting.push(...below.reverse());
    }
    return paths;
  }

  /** Whether there was anything. */
  async take(path: string, base: number | null): Promise<boolean> {
    const inode = lookup(this.#volume, path, { follow: true });
    const name = posix.basename(path);
    const isExcluded = this.#exclude.judge(this.#exclude.root, name).excluded;
    if (inode === null || (isExcluded && inode.type !== 'directory')) return false;
    const kept = base === null ? '' : path.split('/').slice(base).join('/');
    if (base !== null) this.#takeAbove(path, base);
    if (inode.type !== 'directory') {
      this.#add(inode, kept || name, true);
      return true;
    }
    this.#add(inode, kept, true);
    await this.#takeTree(inode, kept);
    return true;
  }

  #takeAbove(path: string, base: number): void {
    const names = path.split('/');
    for (let end = base + 1; end < names.length; end += 1) {
      const above = lookup(this.#volume, names.slice(0, end).join('/'), { follow: true });
      if (above?.type === 'directory') this.#add(above, names.slice(base, end).join('/'), true);
    }
  }

  async #takeTree(top: Inode, path: string): Promise<void> {
    const levels = [this.#level(top, path, this.#exclude.root, null)];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      if (this.#turn.isOver) await this.#turn.rest();
      const child = level.names[level.next];
      level.next += 1;
      if (child === undefined) {
        levels.pop();
        continue;
      }
      const inode = childInode(this.#volume, level.inode, child.number);
      const name = textOfChild(child.name);
      const own = level.path === '' ? name : `${level.path}/${name}`;
      if (inode.type !== 'directory') {
        if (this.#exclude.judge(level.exclude, name).excluded) continue;
        for (const above of levels) this.#addLevel(above);
        this.#add(inode, own, false);
        continue;
      }
      const exclude = this.#exclude.enter(level.exclude, name);
      if (exclude.excluded && !exclude.hasExceptions) continue;
      // A directory that contains itself would never end.
      if (levels.some((above) => above.inode.number === inode.number)) {
        throw this.#volume.damaged(inode, 'is a directory in itself');
      }
      const next = this.#level(inode, own, exclude, inode);
      levels.push(next);
      if (!exclude.excluded) for (const above of levels) this.#addLevel(above);
    }
  }

  #level(inode: Inode, path: string, exclude: Directory, waiting: Inode | null) {
    this.#volume.spend(Math.ceil(inode.size / this.#volume.geometry.blockSize));
    return { inode, path, exclude, waiting, names: childNames(this.#volume, inode), next: 0 };
  }

  /** One that is left out comes with what is in it and is not. */
  #addLevel(level: { path: string; waiting: Inode | null }): void {
    if (level.waiting === null) return;
    this.#add(level.waiting, level.path, false);
    level.waiting = null;
  }

  #add(inode: Inode, path: string, isSource: boolean): void {
    const { type, number, mode, uid, gid, size, links } = inode;
    if (type !== 'file' && type !== 'directory' && type !== 'symlink') {
      this.selected.left.push(path);
      return;
    }
    const volume = this.#volume;
    const first = type === 'directory' || links < 2 ? undefined : this.#names.get(number);
    if (first === undefined) this.#names.set(number, path);
    // They may be many times what the filesystem takes: they are not all in memory.
    const hasOwn = first === undefined && attributesOf(volume, inode).size > 0;
    this.selected.items.push({
      type: first === undefined ? type : 'link',
      ...{ path, isSource, mode, uid, gid },
      size: type === 'file' ? size : 0,
      mtime: Math.floor(inode.modified / 1000),
      target: first ?? (type === 'symlink' ? linkTarget(volume, inode) : null),
      attributes: hasOwn ? () => heldAttributes(volume, number) : noAttributes,
      content: () => contentOf(volume, number),
    });
  }
}

/** A file's extended attributes as the system calls have them. */
function heldAttributes(volume: Volume, number: number): ReadonlyMap<string, Buffer> {
  const inode = volume.inode(number);
  const attributes = attributesOf(volume, inode);
  for (const name of ['system.posix_acl_access', 'system.posix_acl_default']) {
    const stored = attributes.get(name);
    if (stored === undefined) continue;
    const held = heldAcl(stored);
    if (held === null) throw volume.damaged(inode, 'has a broken ACL');
    attributes.set(name, held);
  }
  return attributes;
}

/** How many zeros are made at a time, in bytes. */
const ZEROS = Buffer.alloc(256 * 1024);

/** All of a file, with the zeros that it does not hold. */
async function* contentOf(volume: Volume, number: number): AsyncGenerator<Buffer> {
  const inode = volume.inode(number);
  let at = 0;
  function* zerosTo(end: number): Generator<Buffer> {
    for (; at < end; at += Math.min(ZEROS.length, end - at)) {
      yield ZEROS.subarray(0, Math.min(ZEROS.length, end - at));
    }
  }
  if (inode.type !== 'file') return;
  for (const { position, bytes } of piecesOf(volume, inode)) {
    yield* zerosTo(position);
    const piece = bytes.subarray(0, Math.max(0, inode.size - position));
    yield piece;
    at += piece.length;
  }
  yield* zerosTo(inode.size);
}

/** One path of an origin, which is no pattern. */
export function literal(path: string): string {
  return cleanPath(path).replace(/[\\*?[]/gu, '\\$&') || '.';
}
