import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  assertPackageName,
  DEVELOPMENT_PACKAGES,
  installCommand,
  packagesDigest,
} from '../../../src/lib/image/packages.ts';

describe('the name of a package', () => {
  it.each([
    'htop',
    '0ad',
    'g++',
    'libstdc++6',
    'gcc-12',
    'libc6:i386',
    'htop=3.2.1-1',
    'a2=1:2.0~rc1+b2',
    'vim/bookworm-backports',
    'libfoo:amd64=1.0',
  ])('may be %s', (name) => {
    expect(() => assertPackageName(name)).not.toThrow();
  });

  // apt-get(8): a trailing - removes, a trailing + installs; what begins with - is an option; a path is a file.
  it.each([
    '',
    'a',
    '-y',
    '--purge',
    'htop-',
    'htop+',
    'Htop',
    'a b',
    'a;b',
    './x.deb',
    '/tmp/x.deb',
    'htop=',
    'htop=1 2',
    'htop/',
    'a*',
    'htop\n',
    '^task',
    'htop=1-',
    'häuptling',
  ])('is not %j', (name) => {
    expect(() => assertPackageName(name)).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});

describe('the packages sidecar', () => {
  const digest = (text: string): string => `${createHash('sha256').update(text).digest('hex')}\n`;

  it.each([
    [[], [], false, ''],
    [['a'], [], false, 'a\n'],
    [['a'], ['c', 'b', 'c'], true, 'a\nc\nb\nc\n#feature:docker\n'],
    [[], [], true, '#feature:docker\n'],
  ])('of %j, %j and docker %j is a hash over lines', (preset, requested, docker, text) => {
    expect(packagesDigest(preset, requested, docker)).toBe(digest(text));
  });

  it('of nothing is the well-known one of no bytes', () => {
    expect(packagesDigest([], [], false)).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n',
    );
  });
});

describe('what is installed', () => {
  it('can be no option of apt-get', () => {
    const install = installCommand(['htop', 'jq']);
    expect(install.argv.slice(-3)).toEqual(['--', 'htop', 'jq']);
  });

  it('by the preset is what can be asked for by name, sorted', () => {
    for (const name of DEVELOPMENT_PACKAGES) expect(() => assertPackageName(name)).not.toThrow();
    expect([...DEVELOPMENT_PACKAGES].sort()).toEqual([...DEVELOPMENT_PACKAGES]);
  });
});
