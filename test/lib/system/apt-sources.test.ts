import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  type AptSource,
  formatDeb822Sources,
  parseDeb822Sources,
  parseMirrorList,
  parseOneLineSources,
  readAptSources,
} from '../../../src/lib/system/apt-sources.ts';

function plain(sources: readonly AptSource[]): unknown[] {
  return sources.map(({ file: _, options, ...rest }) => ({ ...rest, options: Object.fromEntries(options) }));
}

describe('deb822 sources', () => {
  test('are stanzas of fields, in any case, with comments and continued lines', () => {
    const text = `# a comment
Types: deb deb-src
# one within
URIs: http://mirror.example/debian
  http://other.example/debian
SUITES: bookworm\tbookworm-updates
Components: main  contrib
Signed-By: /usr/share/keyrings/one.gpg

Types: deb
URIs: https://mirror.example/security
Suites: bookworm-security
Components: main
Trusted: yes
`;
    expect(plain(parseDeb822Sources(text, 'x'))).toEqual([
      {
        types: ['deb', 'deb-src'],
        uris: ['http://mirror.example/debian', 'http://other.example/debian'],
        suites: ['bookworm', 'bookworm-updates'],
        components: ['main', 'contrib'],
        options: { 'signed-by': '/usr/share/keyrings/one.gpg' },
      },
      {
        types: ['deb'],
        uris: ['https://mirror.example/security'],
        suites: ['bookworm-security'],
        components: ['main'],
        options: { trusted: 'yes' },
      },
    ]);
  });

  test.each(['no', 'No', 'false', '0', 'off', 'disable'])('that say Enabled: %s are left out', (enabled) => {
    const text = `Enabled: ${enabled}\nTypes: deb\nURIs: http://mirror.example/\nSuites: sid\nComponents: main\n`;
    expect(parseDeb822Sources(text, 'x')).toEqual([]);
    expect(parseDeb822Sources(text.replace(enabled, 'yes'), 'x')).toHaveLength(1);
  });

  test('that lack a field are left out; a flat repository needs no component', () => {
    expect(parseDeb822Sources('Types: deb\nURIs: http://mirror.example/\n\nnonsense\n', 'x')).toEqual([]);
    const flat = parseDeb822Sources('Types: deb\nURIs: http://mirror.example/\nSuites: ./\n', 'x');
    expect(plain(flat)).toMatchObject([{ suites: ['./'], components: [] }]);
  });

  test('may hold a whole key, which comes out as it went in', () => {
    const key = [
      'Signed-By:',
      ' -----BEGIN PGP PUBLIC KEY BLOCK-----',
      ' .',
      ' mDMEY865',
      ' -----END PGP PUBLIC KEY BLOCK-----',
    ];
    const text = `Types: deb\nURIs: http://mirror.example/\nSuites: sid\nComponents: main\n${key.join('\n')}\n`;
    const [source] = parseDeb822Sources(text, 'x');
    expect(source?.options.get('signed-by')).toBe(
      '-----BEGIN PGP PUBLIC KEY BLOCK-----\n.\nmDMEY865\n-----END PGP PUBLIC KEY BLOCK-----',
    );
    const written = formatDeb822Sources(source ? [source] : []);
    expect(plain(parseDeb822Sources(written, 'x'))).toEqual(plain(source ? [source] : []));
  });

  test('are written so that they are read the same', () => {
    const sources = parseOneLineSources(
      'deb [arch=amd64 trusted=yes] http://mirror.example/a sid main\n',
      'x',
    );
    expect(formatDeb822Sources(sources)).toBe(`Types: deb
URIs: http://mirror.example/a
Suites: sid
Components: main
Architectures: amd64
Trusted: yes
`);
  });
});

describe('one-line sources', () => {
  test('are lines with options in brackets; comments and other lines are left out', () => {
    const text = `# deb http://mirror.example/ old main
deb http://mirror.example/debian bookworm main contrib # why
  deb-src   http://mirror.example/debian   bookworm   main
deb [ arch=amd64,arm64 signed-by=/usr/share/keyrings/one.gpg ] https://mirror.example/x bookworm/updates main
deb [trusted=yes] http://mirror.example/flat ./
rpm http://mirror.example/ nothing
deb http://mirror.example/
`;
    expect(plain(parseOneLineSources(text, 'x'))).toEqual([
      {
        types: ['deb'],
        uris: ['http://mirror.example/debian'],
        suites: ['bookworm'],
        components: ['main', 'contrib'],
        options: {},
      },
      {
        types: ['deb-src'],
        uris: ['http://mirror.example/debian'],
        suites: ['bookworm'],
        components: ['main'],
        options: {},
      },
      {
        types: ['deb'],
        uris: ['https://mirror.example/x'],
        suites: ['bookworm/updates'],
        components: ['main'],
        options: { architectures: 'amd64 arm64', 'signed-by': '/usr/share/keyrings/one.gpg' },
      },
      {
        types: ['deb'],
        uris: ['http://mirror.example/flat'],
        suites: ['./'],
        components: [],
        options: { trusted: 'yes' },
      },
    ]);
  });
});

test('a list of mirrors has an address a line, with metadata after it', () => {
  expect(parseMirrorList('# ours\nhttp://a.example/debian\tpriority:1\n\nhttp://b.example/debian\n')).toEqual(
    ['http://a.example/debian', 'http://b.example/debian'],
  );
});

describe("a machine's sources", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'banger-apt-'));
  afterAll(() => rm(directory, { recursive: true }));

  test('are read from the files that apt reads, in its order', async () => {
    await mkdir(join(directory, 'sources.list.d'));
    const write = (name: string, uri: string, line = `deb ${uri} sid main\n`) =>
      writeFile(join(directory, name), line);
    await write('sources.list', 'http://first.example/');
    await write('sources.list.d/b.list', 'http://third.example/');
    await write(
      'sources.list.d/a.sources',
      '',
      'Types: deb\nURIs: http://second.example/\nSuites: sid\nComponents: main\n',
    );
    await write('sources.list.d/c.list.disabled', 'http://never.example/');
    await write('sources.list.d/d.list.save', 'http://never.example/');
    const sources = await readAptSources(directory);
    expect(sources.flatMap(({ uris }) => uris)).toEqual([
      'http://first.example/',
      'http://second.example/',
      'http://third.example/',
    ]);
    expect(sources[0]?.file).toBe(join(directory, 'sources.list'));
  });

  test('name the first of a list of mirrors instead of the list', async () => {
    const list = join(directory, 'mirrors.txt');
    await writeFile(list, 'http://near.example/debian\tpriority:1\nhttp://far.example/debian\n');
    await writeFile(join(directory, 'sources.list'), `deb mirror+file:${list} sid main\n`);
    expect((await readAptSources(directory))[0]?.uris).toEqual(['http://near.example/debian']);
  });

  test('are none where there is no apt', async () => {
    expect(await readAptSources(join(directory, 'missing'))).toEqual([]);
    await chmod(directory, 0o755);
  });
});
