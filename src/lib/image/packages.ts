import { createHash } from 'node:crypto';
import { BangerError } from '../errors.ts';
import { oneLine } from '../text.ts';

/** What `--preset debian` adds: enough to log in, look around, fetch and edit. Documented in the README. */
export const DEVELOPMENT_PACKAGES = [
  'ca-certificates',
  'curl',
  'git',
  'iproute2',
  'iputils-ping',
  'less',
  'openssh-server',
  'procps',
  'rsync',
  'sudo',
  'vim-tiny',
  'xz-utils',
] as const;

/** Debian Policy 5.6.1 (names), 5.6.12 (versions), and the suffixes of apt-get(8): `:arch`, `=version`, `/suite`. */
const PACKAGE = /^[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+:~-]+|\/[A-Za-z0-9._-]+)?$/u;

/** @throws BangerError `usage` for what is no package name; an option of apt-get is none either */
export function assertPackageName(name: string): void {
  // apt-get takes a trailing - or + for removing or installing.
  if (PACKAGE.test(name) && !/[+-]$/u.test(name.replace(/\+\+$/u, ''))) return;
  throw new BangerError('usage', `'${oneLine(name).slice(0, 80)}' is not the name of a package`, {
    hints: ['write NAME, NAME=VERSION or NAME/SUITE, one package each time'],
  });
}

/**
 * The content of `rootfs.ext4.packages.sha256`: SHA-256 in hex and a newline, over the preset's packages, then the
 * requested ones in order, then `#feature:docker`, each followed by a newline.
 */
export function packagesDigest(
  preset: readonly string[],
  requested: readonly string[],
  docker: boolean,
): string {
  const lines = [...preset, ...requested, ...(docker ? ['#feature:docker'] : [])];
  const hash = createHash('sha256');
  for (const line of lines) hash.update(`${line}\n`);
  return `${hash.digest('hex')}\n`;
}

/**
 * Options for apt-get in a build: no questions, files of the admin kept, no fsync for each file (the finished image
 * is synced as a whole), downloads as root (the guest's _apt need not be mapped to anybody).
 */
const APT_OPTIONS = [
  '--assume-yes',
  '--no-install-recommends',
  ...['-o', 'Acquire::Retries=3'],
  ...['-o', 'APT::Sandbox::User=root'],
  ...['-o', 'Dpkg::Options::=--force-confdef'],
  ...['-o', 'Dpkg::Options::=--force-confold'],
  ...['-o', 'Dpkg::Options::=--force-unsafe-io'],
  ...['-o', 'Dpkg::Use-Pty=0'],
];

/** Without the error mode, lists that could not be fetched are a warning, and the install fails for no visible reason. */
export const UPDATE_COMMAND = {
  argv: [
    'apt-get',
    'update',
    ...['-o', 'Acquire::Retries=3'],
    ...['-o', 'APT::Sandbox::User=root'],
    ...['-o', 'APT::Update::Error-Mode=any'],
  ],
};

/** The command that installs packages in a guest whose apt has the newest lists. */
export function installCommand(names: readonly string[]): { argv: string[] } {
  return { argv: ['apt-get', 'install', ...APT_OPTIONS, '--', ...names] };
}

/** Docker from the image's own repositories; newer Debians have its client in a package of its own. */
export const DOCKER_COMMAND = {
  argv: [
    '/bin/sh',
    '-c',
    `set -e
client=
if apt-cache show docker-cli >/dev/null 2>&1; then client=docker-cli; fi
apt-get install "$@" -- docker.io $client
systemctl enable docker.service containerd.service`,
    'docker',
    ...APT_OPTIONS,
  ],
};
