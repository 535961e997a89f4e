import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { isThere } from '../system/filesystem.ts';
import { makePrivateDirectory } from '../system/private-directory.ts';
import type { ProcessResult } from '../system/process.ts';
import type { Sandbox } from '../system/sandbox.ts';

/** The name of the store among what is kept of mounts. */
export const PACKAGE_STORE = 'apt';
/** After how many days of no use what is stored goes. */
const KEEP_DAYS = 30;
/** How long lists are as good as new for the disk that they were fetched on, in minutes. */
const RECENT_MINUTES = 60;

/** What one stage of a build sees of it: its own copy, which a guest may do anything with. */
export interface PackageView {
  root: string;
  lists: string;
  cache: string;
}

/** Whose lists they are: `sources`, of a guest's distribution and package sources; `state`, of the very disk that asked. */
export interface ListsKey {
  sources: string;
  /** Null where nobody can say. */
  state: string | null;
}

/**
 * Package files by their SHA-256 and lists by their sources, of all builds: `archives/DIGEST`, and `lists/SOURCES`, a link to
 * the newest set: `lists/`, and `states/STATE/` of each disk whose own apt has proved them, with what apt made of them. Nothing in here is ever seen by a guest: it is copied, extents shared where they can be. Every change is one
 * rename, and who reads may find it gone, so that nobody waits for anybody. All is done where the guest's ids are.
 */
export class PackageStore {
  readonly #mountsDir: string;
  readonly #root: string;

  constructor(mountsDir: string) {
    this.#mountsDir = mountsDir;
    this.#root = join(mountsDir, PACKAGE_STORE);
  }

  /** SHA-256 of what there is. */
  archives(): string[] {
    const directory = join(this.#root, 'archives');
    return isThere(directory) ? readdirSync(directory).filter((name) => /^[0-9a-f]{64}$/u.test(name)) : [];
  }

  /** Copies stored lists into a view that has none. Returns the set that they are of; null where there are none. */
  async takeLists({ sources }: ListsKey, view: PackageView, sandbox: Sandbox): Promise<string | null> {
    if (!isThere(join(this.#root, 'lists', sources))) return null;
    const { exitCode, stdout } = await this.#run(TAKE_LISTS, [sources, ''], view, sandbox);
    return exitCode === 0 ? stdout.trim() : null;
  }

  /** The same of lists that this very disk's apt has fetched or proved within the last hour. False where there are none. */
  async takeRecent({ sources, state }: ListsKey, view: PackageView, sandbox: Sandbox): Promise<boolean> {
    if (state === null) return false;
    const proof = join(this.#root, 'lists', sources, 'states', state);
    const age = Date.now() - (statSync(proof, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    // Nobody knows how old those of a time to come are.
    if (age < 0 || age >= RECENT_MINUTES * 60_000) return false;
    const { exitCode } = await this.#run(TAKE_LISTS, [sources, state], view, sandbox);
    return exitCode === 0;
  }

  /** Lists that turned out to be too old after all are asked for the next time. */
  async forgetRecent({ sources, state }: ListsKey, sandbox: Sandbox): Promise<void> {
    if (state === null) return;
    await sandbox.runTool('rm', ['-rf', '--', join(this.#root, 'lists', sources, 'states', state)]);
  }

  /**
   * Stores a view's lists, which are complete, in the place of those that were there.
   * @param taken the set that they were taken from and proved to be; null where they are not
   */
  async keepLists(
    { sources, state }: ListsKey,
    { taken, isForced }: { taken: string | null; isForced: boolean },
    view: PackageView,
    sandbox: Sandbox,
  ): Promise<void> {
    makePrivateDirectory(this.#mountsDir);
    const args = [sources, isForced ? 'forced' : '', state ?? '', taken ?? '', String(RECENT_MINUTES)];
    await this.#run(KEEP_LISTS, args, view, sandbox, [0]);
  }

  /** Copies package files, `DIGEST NAME` each, into a view. */
  async takeArchives(lines: readonly string[], view: PackageView, sandbox: Sandbox): Promise<void> {
    const input = Readable.from([lines.map((line) => `${line}\n`).join('')]);
    await sandbox.feedTool('sh', ['-euc', TAKE_ARCHIVES, 'packages', view.root, this.#root], input);
  }

  /** Stores package files that are new in a view, and removes what was of no use for long. */
  async keepArchives(view: PackageView, sandbox: Sandbox): Promise<void> {
    makePrivateDirectory(this.#mountsDir);
    await this.#run(KEEP_ARCHIVES, [String(KEEP_DAYS)], view, sandbox, [0]);
  }

  #run(
    script: string,
    args: readonly string[],
    { root }: PackageView,
    sandbox: Sandbox,
    okExit: readonly number[] | 'any' = 'any',
  ): Promise<ProcessResult> {
    return sandbox.runTool('sh', ['-euc', script, 'packages', root, this.#root, ...args], { okExit });
  }
}

const BEGIN = `
view=$1 store=$2
umask 077
`;

/** A guest may have put a link in its place, which would lead out of the view. */
const OWN_ARCHIVES = `
archives=$view/cache/archives
if [ -L "$archives" ] || [ ! -d "$archives" ]; then
  rm -rf -- "$archives"
  mkdir -m 755 -- "$archives" "$archives/partial"
fi
`;

/** Times are what apt asks the repository with. Half a set, whose rest somebody replaced meanwhile, is none. */
const TAKE_LISTS = `${BEGIN}
key=$3 state=$4
set=$(readlink -- "$store/lists/$key")
{
  cp -a --reflink=auto -- "$store/lists/$set/lists/." "$view/lists/" &&
    if [ -n "$state" ]; then cp -a --reflink=auto -- "$store/lists/$set/states/$state/." "$view/cache/"; fi
} || {
  find "$view/lists" -mindepth 1 ! -name partial -delete
  rm -f -- "$view/cache/"*pkgcache.bin
  exit 1
}
touch -c -- "$store" "$store/lists/$set"
echo "$set"
`;

/**
 * A set is the same when it has the same names and Release files; a disk vouches for no other one than that which it was
 * given. Times to come would keep apt from ever seeing a newer one. Links, and what is not complete, are left out.
 */
const KEEP_LISTS = `${BEGIN}
key=$3 forced=$4 state=$5 taken=$6 recent=$7
told() {
  (cd -- "$1" && find . -maxdepth 1 -type f ! -name lock | LC_ALL=C sort &&
    find . -maxdepth 1 -type f -name '*Release' -exec cat {} +) | sha256sum
}
mkdir -p -- "$store/lists"
cd -- "$store/lists"
set=$(readlink -- "$key") || set=
if [ -n "$state" ] && [ "$set" != "$taken" ]; then forced=forced; fi
if [ -n "$forced" ] || [ ! -d "$set/lists" ] || [ "$(told "$set/lists")" != "$(told "$view/lists")" ]; then
  new=$view/set.new
  rm -rf -- "$new"
  mkdir -- "$new" "$new/lists" "$new/states"
  chmod 755 -- "$new/lists"
  find "$view/lists" -maxdepth 1 -type f ! -name lock \
    -exec cp -p --no-preserve=ownership --reflink=auto -t "$new/lists" -- {} +
  : >"$view/now"
  find "$new" -newer "$view/now" -exec touch -r "$view/now" -- {} +
  set=$(mktemp -u "$key.XXXXXXXX")
  mv -T -- "$new" "$set"
  ln -s -- "$set" "$view/link.new"
  mv -T -- "$view/link.new" "$key"
  touch -- "$store"
  find . -maxdepth 1 -type d -name "$key.*" ! -name "$set" -exec rm -rf -- {} +
fi
if [ -n "$state" ]; then
  new=$view/state.new
  rm -rf -- "$new"
  mkdir -- "$new"
  find "$view/cache" -maxdepth 1 -type f -name '*pkgcache.bin' \
    -exec cp -p --no-preserve=ownership --reflink=auto -t "$new" -- {} +
  find "$set/states" -mindepth 1 -maxdepth 1 '(' -name "$state" -o -mmin "+$recent" ')' -exec rm -rf -- {} +
  mv -T -- "$new" "$set/states/$state"
fi
`;

/** Whatever is damaged is thrown away: apt looks at the size alone (2.6.1, pkgAcqArchive). */
const TAKE_ARCHIVES = `${BEGIN}${OWN_ARCHIVES}
touch -c -- "$store"
cd -- "$store/archives"
while read -r digest name; do
  if [ -e "$archives/$name" ] || [ -L "$archives/$name" ] || [ ! -f "$digest" ]; then continue; fi
  cp --reflink=auto -- "$digest" "$view/incoming"
  found=$(sha256sum <"$view/incoming")
  if [ "\${found%% *}" = "$digest" ]; then
    touch -c -- "$digest"
    chmod 644 -- "$view/incoming"
    mv -T -- "$view/incoming" "$archives/$name"
  else
    rm -f -- "$digest" "$view/incoming"
  fi
done
: >"$view/seen"
`;

/** ctime, because a guest cannot choose that. */
const KEEP_ARCHIVES = `${BEGIN}${OWN_ARCHIVES}
fetched() { find "$archives" -maxdepth 1 -type f -size +0 -name '*.deb' -cnewer "$view/seen" "$@"; }
if [ -z "$(fetched -print -quit)" ]; then exit; fi
mkdir -p -- "$store/archives"
touch -- "$store"
fetched -exec sh -euc '
  view=$0 store=$1
  shift
  for file do
    cp --reflink=auto -- "$file" "$view/incoming"
    digest=$(sha256sum <"$view/incoming")
    mv -T -- "$view/incoming" "$store/archives/\${digest%% *}"
  done
' "$view" "$store" {} +
: >"$view/seen"
find "$store/archives" -type f -mtime "+$3" -delete
if [ -d "$store/lists" ]; then
  find "$store/lists" -maxdepth 1 -type d -name '*.*' -mtime "+$3" -exec rm -rf -- {} +
  find "$store/lists" -maxdepth 1 -xtype l -delete
fi
`;
