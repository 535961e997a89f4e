import { describe, expect, test } from 'vitest';
import { BangerError } from '../../../src/lib/errors.ts';
import {
  assertWishes,
  type ChosenSources,
  chooseSources,
  type MissingChoice,
  parseOsRelease,
  type SourcesHost,
} from '../../../src/lib/image/debian-sources.ts';
import {
  formatDeb822Sources,
  parseDeb822Sources,
  parseOneLineSources,
} from '../../../src/lib/system/apt-sources.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** A machine with one-line sources in /etc/apt/sources.list. */
function host(
  lines: string,
  osRelease = 'ID=debian\nVERSION_CODENAME=bookworm\n',
  keyrings = [KEYRING],
): SourcesHost {
  return {
    sources: parseOneLineSources(lines, '/etc/apt/sources.list'),
    osRelease: parseOsRelease(osRelease),
    keyrings,
    architecture: 'amd64',
  };
}

function chosen(answer: ChosenSources | MissingChoice): ChosenSources {
  if ('missing' in answer) throw new Error(answer.message);
  return answer;
}

/** Address and suites of each entry. */
function told(answer: ChosenSources | MissingChoice): string[] {
  return chosen(answer).sources.map(({ uris, suites, components }) =>
    [...uris, ...suites, ...components].join(' '),
  );
}

const BOOKWORM = `deb http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm-updates main
deb http://mirror.example/debian-security bookworm-security main
deb http://mirror.example/debian bookworm-backports main
`;

describe('without a wish', () => {
  test("the machine's own release, its updates and its security fixes are taken", () => {
    const answer = chooseSources(host(BOOKWORM), {});
    expect(answer).toMatchObject({ suite: 'bookworm', distribution: 'debian', credentials: '' });
    expect(told(answer)).toEqual([
      'http://mirror.example/debian bookworm main contrib',
      'http://mirror.example/debian bookworm-updates main',
      'http://mirror.example/debian-security bookworm-security main',
    ]);
  });

  test('archives of others are left out, also where they stand among its own', () => {
    const machine = host(`${BOOKWORM}deb https://other.example/linux/debian bookworm stable\n`);
    const others = parseOneLineSources(
      'deb [signed-by=/etc/apt/keyrings/tools.gpg] https://tools.example bookworm main\n',
      '/etc/apt/sources.list.d/tools.list',
    );
    expect(told(chooseSources({ ...machine, sources: [...others, ...machine.sources] }, {}))).toHaveLength(3);
  });

  test('a deb822 file of Debian is read like any', () => {
    const text = `Types: deb deb-src
URIs: http://mirror.example/debian
Suites: trixie trixie-updates trixie-backports
Components: main non-free-firmware
Signed-By: ${KEYRING}
Languages: en
`;
    const machine = {
      ...host('', 'ID=debian\nVERSION_CODENAME=trixie\n'),
      sources: parseDeb822Sources(text, '/etc/apt/sources.list.d/debian.sources'),
    };
    expect(formatDeb822Sources(chosen(chooseSources(machine, {})).sources)).toBe(`Types: deb
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main non-free-firmware
Signed-By: ${KEYRING}
`);
  });

  test('a release by its role is taken as it is written', () => {
    const testing =
      'deb http://mirror.example/debian testing main\ndeb http://mirror.example/s testing-security main\n';
    expect(told(chooseSources(host(testing, 'ID=debian\nVERSION_CODENAME=forky\n'), {}))).toEqual([
      'http://mirror.example/debian testing main',
      'http://mirror.example/s testing-security main',
    ]);
  });

  test('entries that this machine cannot use over the network, or for its architecture, are left out', () => {
    const lines = `deb cdrom:[Debian]/ bookworm main
deb file:/srv/mirror/debian bookworm main
deb [arch=arm64] http://arm.example/debian bookworm main
deb [arch=amd64,i386] http://mirror.example/debian bookworm main
`;
    expect(told(chooseSources(host(lines), {}))).toEqual(['http://mirror.example/debian bookworm main']);
  });

  test('an Ubuntu says that it is one', () => {
    const lines = `deb http://mirror.example/ubuntu noble main universe
deb http://mirror.example/ubuntu noble-updates main universe
`;
    const machine = host(lines, 'ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n');
    expect(chooseSources(machine, {})).toMatchObject({ distribution: 'ubuntu', suite: 'noble' });
  });

  test('a derivative of either is made from what it is made of', () => {
    const lines = `deb http://mint.example zara main upstream
deb http://mirror.example/ubuntu noble main
`;
    const machine = host(
      lines,
      'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=xia\nUBUNTU_CODENAME=noble\n',
    );
    expect(chooseSources(machine, {})).toMatchObject({ distribution: 'ubuntu', suite: 'noble' });
  });

  test('passwords stay out of the guest', () => {
    const lines = 'deb https://me:secret@mirror.example/debian bookworm main\n';
    const answer = chosen(chooseSources(host(lines), {}));
    expect(formatDeb822Sources(answer.sources)).not.toContain('secret');
    expect(answer.credentials).toBe('machine mirror.example/debian login me password secret\n');
  });

  test('a machine without such archives wants a mirror', () => {
    expect(chooseSources(host('', 'ID=fedora\n'), {})).toMatchObject({ missing: 'mirror' });
    const others = host('');
    const sources = parseOneLineSources(
      'deb https://tools.example stable main\n',
      '/etc/apt/sources.list.d/t.list',
    );
    expect(chooseSources({ ...others, sources }, {})).toMatchObject({ missing: 'mirror' });
  });
});

describe('with a suite', () => {
  test("the machine's mirrors are taken for it", () => {
    expect(told(chooseSources(host(BOOKWORM), { suite: 'trixie' }))).toEqual([
      'http://mirror.example/debian trixie main contrib',
      'http://mirror.example/debian trixie-updates main',
      'http://mirror.example/debian-security trixie-security main',
    ]);
  });

  test('one that rolls has nothing beside it', () => {
    expect(told(chooseSources(host(BOOKWORM), { suite: 'sid' }))).toEqual([
      'http://mirror.example/debian sid main contrib',
    ]);
  });
});

describe('with a mirror', () => {
  const mirror = 'https://near.example/debian';

  test('nothing but the mirror is used', () => {
    const answer = chooseSources(host(BOOKWORM), { mirror });
    expect(told(answer)).toEqual(['https://near.example/debian bookworm main']);
    expect(chosen(answer).sources[0]?.options.get('signed-by')).toBe(KEYRING);
  });

  test('a machine that is no Debian has to be told the release', () => {
    const fedora = host('', 'ID=fedora\n', []);
    expect(chooseSources(fedora, { mirror })).toMatchObject({ missing: 'suite' });
    const answer = chooseSources(fedora, { mirror, suite: 'trixie' });
    expect(told(answer)).toEqual(['https://near.example/debian trixie main']);
    expect(chosen(answer).sources[0]?.options.size).toBe(0);
  });

  test('a Debian makes an Ubuntu with the keyring of Ubuntu', () => {
    const keyring = '/usr/share/keyrings/ubuntu-archive-keyring.gpg';
    const machine = host(BOOKWORM, undefined, [KEYRING, keyring]);
    const answer = chosen(chooseSources(machine, { mirror: 'http://near.example/ubuntu', suite: 'noble' }));
    expect(answer).toMatchObject({ distribution: 'ubuntu', suite: 'noble' });
    expect(answer.sources[0]?.options.get('signed-by')).toBe(keyring);
    expect(answer.sources[0]?.components).toEqual(['main', 'universe']);
  });
});

describe('wishes', () => {
  test.each(['bookworm', 'trixie', 'sid', 'stable', 'kali-rolling'])('%s is a suite', (suite) => {
    expect(() => assertWishes({ suite })).not.toThrow();
  });

  test.each(['', '-oDir=/', '--help', 'a b', 'Bookworm', '../x', 'x\ny', 'x/y'])('%j is none', (suite) => {
    expect(() => assertWishes({ suite })).toThrow(BangerError);
  });

  test.each(['http://mirror.example/debian', 'https://me:pw@mirror.example:8080/x'])(
    '%s is a mirror',
    (mirror) => {
      expect(() => assertWishes({ mirror })).not.toThrow();
    },
  );

  test.each(['', 'mirror.example', 'file:///srv', 'ftp://x/', 'http://a b/', 'http://x/"', '-x'])(
    '%j is none',
    (mirror) => {
      expect(() => assertWishes({ mirror })).toThrow(BangerError);
    },
  );

  test('a refused mirror does not show its password', () => {
    expect(() => assertWishes({ mirror: 'ftp://me:secret@mirror.example/' })).toThrow(/^(?!.*secret)/u);
  });
});
