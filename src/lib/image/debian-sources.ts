import { BangerError } from '../errors.ts';
import { credentialsOf, withoutCredentials } from '../system/apt-settings.ts';
import type { AptSource } from '../system/apt-sources.ts';
import { oneLine } from '../text.ts';

export type Distribution = 'debian' | 'ubuntu';

/** The machine that bootstraps. */
export interface SourcesHost {
  sources: readonly AptSource[];
  /** /etc/os-release, by name (os-release(5)). */
  osRelease: ReadonlyMap<string, string>;
  /** Keyrings of archives that are installed here, as /usr/share/keyrings/…-archive-keyring.gpg. */
  keyrings: readonly string[];
  /** As dpkg names it: amd64, arm64. */
  architecture: string;
}

export interface SourcesWishes {
  suite?: string | undefined;
  mirror?: string | undefined;
}

export interface ChosenSources {
  distribution: Distribution;
  /** The release proper: the one whose Essential packages make the base. */
  suite: string;
  /** What the guest's apt is given too: no name, no password. */
  sources: readonly AptSource[];
  /** Those that mirrors' addresses held, as an apt_auth.conf(5). */
  credentials: string;
}

/** A fault of the machine, for the caller to say what mends it: an archive, or its release, could not be told. */
export type MissingChoice = { missing: 'mirror' | 'suite'; message: string };

const SUITE = /^[a-z][a-z0-9.+-]*$/u;
/** Of what a distribution itself publishes; other archives name theirs otherwise. */
const COMPONENTS = new Set([
  ...['main', 'contrib', 'non-free', 'non-free-firmware'],
  ...['universe', 'restricted', 'multiverse'],
]);
const OWN_FILES = /\/(?:sources\.list|(?:debian|ubuntu|official-package-repositories)\.(?:sources|list))$/u;
const OWN_PATHS = /\/(?:debian|debian-security|ubuntu|ubuntu-ports)\/?$/u;
const OWN_KEYRINGS = /(?:debian|ubuntu)-archive-/u;
/** What the guest needs to know of an entry; architectures, languages and the like are this machine's business. */
const KEPT_OPTIONS = new Set(['signed-by', 'trusted', 'check-valid-until', 'check-date', 'by-hash']);
/** Releases that roll have no updates and no security archive beside them. */
const ROLLING = /^(?:sid|unstable|experimental|rc-buggy)$/u;
/** The archives beside a release that belong to it; backports and proposals are a choice of its own. */
const BESIDE = /^(?:-updates|-security|\/updates)$/u;

/** @throws BangerError `usage` for a suite or a mirror that is none */
export function assertWishes({ suite, mirror }: SourcesWishes): void {
  if (suite !== undefined && !SUITE.test(suite)) {
    throw new BangerError('usage', `'${oneLine(suite).slice(0, 60)}' is not the name of a suite`, {
      hints: ['for example bookworm, trixie or sid'],
    });
  }
  if (mirror === undefined) return;
  const address = URL.canParse(mirror) ? new URL(mirror) : undefined;
  if (address === undefined || !/^https?:$/u.test(address.protocol) || /[\s"'\\<>]/u.test(mirror)) {
    const shown = withoutCredentials(oneLine(mirror)).slice(0, 120);
    throw new BangerError('usage', `'${shown}' is not the address of a mirror`, {
      hints: ['give one that starts with http:// or https://'],
    });
  }
}

/** Decides what to install from: a mirror that was named, else what this machine's own apt is configured with. */
export function chooseSources(host: SourcesHost, wishes: SourcesWishes): ChosenSources | MissingChoice {
  const own = ownArchives(host);
  const codename = codenames(host).find((name) => own.some(({ suites }) => suites.includes(name)));
  const base = codename ?? own[0]?.suites[0]?.replace(/[-/].*$/u, '');
  return wishes.mirror === undefined
    ? fromHost(host, own, base, wishes.suite)
    : fromMirror(host, own, wishes.mirror, wishes.suite ?? base ?? codenames(host)[0]);
}

function fromHost(
  host: SourcesHost,
  own: readonly AptSource[],
  base: string | undefined,
  suite: string | undefined,
): ChosenSources | MissingChoice {
  if (base === undefined) {
    const message = "this machine's apt is not configured with an archive of Debian's or Ubuntu's own";
    return { missing: 'mirror', message };
  }
  const wanted = suite ?? base;
  const sources = own.flatMap((source) => {
    const suites = source.suites.flatMap((name) => {
      const rest = name.slice(base.length);
      if (name === base) return [wanted];
      return name.startsWith(base) && BESIDE.test(rest) && !ROLLING.test(wanted) ? [wanted + rest] : [];
    });
    return suites.length === 0 ? [] : [{ ...source, suites }];
  });
  return chosen(distributionOf(host, sources), wanted, sources);
}

function fromMirror(
  host: SourcesHost,
  own: readonly AptSource[],
  mirror: string,
  suite: string | undefined,
): ChosenSources | MissingChoice {
  if (suite === undefined) {
    return {
      missing: 'suite',
      message: 'this machine is no Debian, so it does not say which release is wanted',
    };
  }
  const distribution: Distribution = /ubuntu/iu.test(new URL(mirror).pathname) ? 'ubuntu' : 'debian';
  const components = distribution === 'ubuntu' ? ['main', 'universe'] : ['main'];
  const keyring =
    own.find((source) => distributionOf(host, [source]) === distribution)?.options.get('signed-by') ??
    host.keyrings.find((path) => path.includes(`${distribution}-archive-`));
  const options = new Map(keyring === undefined ? [] : [['signed-by', keyring] as const]);
  const file = 'the mirror that was named';
  const source: AptSource = { file, types: ['deb'], uris: [mirror], suites: [suite], components, options };
  return chosen(distribution, suite, [source]);
}

function chosen(distribution: Distribution, suite: string, sources: readonly AptSource[]): ChosenSources {
  return {
    distribution,
    suite,
    sources: sources.map((source) => ({
      ...source,
      types: ['deb'],
      uris: source.uris.map(withoutCredentials),
      options: new Map([...source.options].filter(([name]) => KEPT_OPTIONS.has(name))),
    })),
    credentials: sources.flatMap(({ uris }) => uris.map(credentialsOf)).join(''),
  };
}

/** The entries that are the distribution's own, reachable by network, for this architecture, with binaries. */
function ownArchives({ sources, architecture }: SourcesHost): AptSource[] {
  return sources.flatMap((source) => {
    const uris = source.uris.filter((uri) => /^https?:\/\//u.test(uri) && URL.canParse(uri));
    const components = source.components.filter((component) => COMPONENTS.has(component));
    const architectures = source.options.get('architectures')?.split(/\s+/u) ?? [];
    const isOurs =
      OWN_FILES.test(source.file) ||
      uris.some((uri) => OWN_PATHS.test(uri)) ||
      OWN_KEYRINGS.test(source.options.get('signed-by') ?? '');
    const isUsable =
      source.types.includes('deb') &&
      uris.length > 0 &&
      components.length > 0 &&
      (architectures.length === 0 || architectures.includes(architecture));
    return isOurs && isUsable ? [{ ...source, uris, components }] : [];
  });
}

/** Derivatives name their own release first, then the one that they are made from. */
function codenames({ osRelease }: SourcesHost): string[] {
  return ['VERSION_CODENAME', 'UBUNTU_CODENAME', 'DEBIAN_CODENAME'].flatMap(
    (field) => osRelease.get(field) ?? [],
  );
}

function distributionOf({ osRelease }: SourcesHost, sources: readonly AptSource[]): Distribution {
  const told = sources.flatMap(({ uris, options }) => [...uris, options.get('signed-by') ?? '']).join(' ');
  if (/ubuntu/u.test(told)) return 'ubuntu';
  if (/debian/u.test(told)) return 'debian';
  return /\bubuntu\b/u.test(`${osRelease.get('ID')} ${osRelease.get('ID_LIKE')}`) ? 'ubuntu' : 'debian';
}

/** /etc/os-release as names and values (os-release(5)). */
export function parseOsRelease(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [, name = '', value = ''] of text.matchAll(/^([A-Z0-9_]+)=(.*)$/gmu)) {
    fields.set(name, value.replace(/^(["'])(.*)\1$/u, '$2'));
  }
  return fields;
}
