import { Readable } from 'node:stream';
import type { GuestBind } from '../system/sandbox-step.ts';
import { busyboxBind } from './guest-copy.ts';
import { askGuest, scriptCommand } from './guest-question.ts';
import type { Provisioning } from './provision.ts';

/** Where apt keeps what it downloads (apt.conf(5): Dir::State::lists, Dir::Cache). */
export const APT_LISTS = '/var/lib/apt/lists';
export const APT_CACHE = '/var/cache/apt';

/** What a guest has of apt. */
export interface GuestApt {
  hasLists: boolean;
  hasCache: boolean;
  /** Whether there are lists beside the image. */
  isListed: boolean;
  /** Of its distribution, architecture and package sources. */
  key: string;
}

const [LISTS, CACHE] = ['/run/banger/apt/lists', '/run/banger/apt/cache'];
/** How much of a guest's package sources is read, in bytes. */
const MOST_SOURCES = 2 ** 20;

/**
 * What the image holds at the two places would be hidden by what is bound there, and stay in it: it is taken along. apt's own
 * lock files are nothing. Sources that cannot be read are none.
 */
const LOOK_SCRIPT = `
take() {
  if [ ! -d "$2" ]; then return; fi
  echo "has-$1"
  cd "$2"
  if [ -z "$("$box" find . ! -type d ! -name lock | "$box" head -n 1)" ]; then return; fi
  "$box" cp -a . "$3/"
  "$box" find . ! -type d -exec "$box" rm -f {} +
}
take lists ${APT_LISTS} ${LISTS}
take cache ${APT_CACHE} ${CACHE}
if [ -n "$("$box" find ${LISTS} -type f ! -name lock | "$box" head -n 1)" ]; then echo listed; fi
sources() {
  "$box" grep -E '^(ID|VERSION_CODENAME)=' /etc/os-release || :
  dpkg --print-architecture || :
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    if [ -f "$file" ]; then echo "$file"; "$box" cat "$file"; fi
  done
}
echo "key $(sources 2>/dev/null | "$box" head -c ${MOST_SOURCES} | "$box" sha256sum | "$box" cut -c -16)"
`;

/** Looks at what a guest has, and takes what the image holds of it into the view. */
export async function lookForApt(
  view: { lists: string; cache: string },
  ground: Pick<Provisioning, 'sandbox' | 'busybox'>,
): Promise<GuestApt> {
  const mounts = [
    { kind: 'bind', source: view.lists, target: LISTS, writable: true },
    { kind: 'bind', source: view.cache, target: CACHE, writable: true },
  ] as const;
  const said = (await askGuest(LOOK_SCRIPT, [], ground, { mounts })).split('\n');
  return {
    hasLists: said.includes('has-lists'),
    hasCache: said.includes('has-cache'),
    isListed: said.includes('listed'),
    key: /^[0-9a-f]{16}$/u.exec(said.find((line) => line.startsWith('key '))?.slice(4) ?? '')?.[0] ?? 'none',
  };
}

/**
 * A guest's own tool where it has one: Debian's read tens of MiB several times faster than busybox, whose shell would take
 * itself for each without a path.
 */
const OWN_TOOLS = 'own() { if [ -x "/usr/bin/$1" ]; then "/usr/bin/$@"; else "$box" "$@"; fi; }';

/**
 * apt takes an index for good when its Release file is the newest (2.6.1: `Hit`), whatever stands in it. So each must be the
 * one whose digest is in the Release file of its repository, which apt has just checked the signature of. Prints the first
 * that is not; apt-helper reads indexes however they are compressed.
 */
const VERIFY_SCRIPT = `
${OWN_TOOLS}
cd ${APT_LISTS}
for index in *; do
  case $index in *InRelease | *_Release | *_Release.gpg | lock) continue ;; esac
  if [ ! -f "$index" ]; then continue; fi
  name=$index known=
  for suffix in .lz4 .gz .xz .bz2 .zst; do name=\${name%"$suffix"}; done
  sum=$(/usr/lib/apt/apt-helper cat-file "$index" | own sha256sum)
  sum=\${sum%% *}
  for release in *InRelease *_Release; do
    if [ ! -f "$release" ]; then continue; fi
    prefix=\${release%InRelease}
    if [ "$prefix" = "$release" ]; then
      prefix=\${release%Release}
      if [ -e "\${prefix}InRelease" ]; then continue; fi
    fi
    case $name in "$prefix"*) ;; *) continue ;; esac
    if "$box" sed -n "s/^ $sum  *[0-9][0-9]*  *//p" "$release" | "$box" tr / _ |
      "$box" grep -Fqx -- "\${name#"$prefix"}"; then known=yes; fi
  done
  if [ -z "$known" ]; then echo "$index"; exit; fi
done
`;

/** The name of an index that is not what its Release file says; null when there is none. */
export async function findForgedIndex(
  binds: readonly GuestBind[],
  { sandbox, busybox }: Pick<Provisioning, 'sandbox' | 'busybox'>,
): Promise<string | null> {
  const result = await sandbox.run(scriptCommand(VERIFY_SCRIPT, []), {
    binds: [busyboxBind(busybox), ...binds],
    network: 'none',
  });
  if (result.exitCode !== 0) return `all of them (status ${result.exitCode})`;
  return result.stdout.trim() === '' ? null : result.stdout.trim();
}

/** Reads digests, a line each, then `-`; prints those that the guest's lists have, with the names that apt has for them. */
const LISTED_SCRIPT = `
${OWN_TOOLS}
{
  "$box" cat
  apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages' | while read -r index; do
    if [ -f "$index" ]; then /usr/lib/apt/apt-helper cat-file "$index"; echo; fi
  done
} | own awk '
  !begun { if ($0 == "-") begun = 1; else wanted[$1] = 1; next }
  /^Package: / { package = $2 }
  /^Version: / { version = $2 }
  /^Architecture: / { architecture = $2 }
  /^SHA256: / { digest = $2 }
  /^$/ {
    if (digest in wanted) { gsub(/:/, "%3a", version); print digest, package "_" version "_" architecture ".deb" }
    digest = ""
  }'
`;

/** A package file as apt keeps it; a guest may print anything. */
const ARCHIVE = /^[0-9a-f]{64} [a-z0-9][a-z0-9+.-]*_[A-Za-z0-9+.~%-]+_[a-z0-9-]+\.deb$/u;

/** Which of some package files, told by their SHA-256, a guest's lists offer: `DIGEST NAME` each. */
export async function listedArchives(
  digests: readonly string[],
  binds: readonly GuestBind[],
  { sandbox, busybox }: Pick<Provisioning, 'sandbox' | 'busybox'>,
): Promise<string[]> {
  const { exitCode, stdout } = await sandbox.run(scriptCommand(LISTED_SCRIPT, []), {
    binds: [busyboxBind(busybox), ...binds],
    network: 'none',
    input: Readable.from([`${[...digests, '-'].join('\n')}\n`]),
  });
  return exitCode === 0 ? stdout.split('\n').filter((line) => ARCHIVE.test(line)) : [];
}
