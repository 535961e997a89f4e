import { symlinkSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { errorOf, test } from './ground.ts';

const FILES = {
  'app.js': '',
  'arr[0].txt': '',
  'index.js': '',
  'index.ts': '',
  'a*b': '',
  'src/main.c': '',
  'src/lib/deep/util.c': '',
  'src/lib/util.c': '',
  'doc/main.md': '',
  'empty/': '',
};

describe('a source', () => {
  test.for<[sources: string[], paths: string[]]>([
    [['app.js'], ['app.js']],
    [['/app.js'], ['app.js']],
    [['./app.js'], ['app.js']],
    [['app.js/'], ['app.js']],
    [['../../app.js'], ['app.js']],
    [['src/../app.js'], ['app.js']],
    [['src/main.c'], ['main.c']],
    // Of a directory what is in it.
    [['src/lib'], ['', 'deep', 'deep/util.c', 'util.c']],
    [['src/lib/'], ['', 'deep', 'deep/util.c', 'util.c']],
    [['empty'], ['']],
    [
      ['doc', 'app.js', 'doc'],
      ['', 'main.md', 'app.js', '', 'main.md'],
    ],
    // Patterns.
    [['index.?s'], ['index.js', 'index.ts']],
    [['*.js'], ['app.js', 'index.js']],
    [['*/main.*'], ['main.md', 'main.c']],
    [['[^a]*.js'], ['index.js']],
    [['*.c', '*.js'].slice(1), ['app.js', 'index.js']],
    [['arr[[]0].txt'], ['arr[0].txt']],
    [['arr\\[0].txt'], ['arr[0].txt']],
    [['a\\*b'], ['a*b']],
    [['src/*'], ['', 'deep', 'deep/util.c', 'util.c', 'main.c']],
    [['src/*/util.c'], ['util.c']],
    [['src/**/util.c'], ['util.c', 'util.c']],
    [['**/*.c'], ['main.c', 'util.c', 'util.c']],
    [['src/**'], ['', 'deep', 'deep/util.c', 'util.c', 'main.c']],
    [['em*'], ['']],
  ])('%j', async ([sources, paths], { ground }) => {
    ground.write(FILES);
    expect(await ground.select(sources)).toEqual(paths);
  });

  test('is found where it is on this machine', async ({ ground }) => {
    ground.write(FILES);
    const { entries } = await ground.open().resolve(['src', '*.js']);
    expect(entries.map(({ source, type }) => `${type} ${source}`)).toEqual([
      `directory ${ground.at('src')}`,
      `directory ${ground.at('src/lib')}`,
      `directory ${ground.at('src/lib/deep')}`,
      `file ${ground.at('src/lib/deep/util.c')}`,
      `file ${ground.at('src/lib/util.c')}`,
      `file ${ground.at('src/main.c')}`,
      `file ${ground.at('app.js')}`,
      `file ${ground.at('index.js')}`,
    ]);
  });
});

describe('what names nothing', () => {
  test.for<[source: string, message: RegExp, hint: RegExp]>([
    ['ap.js', /'ap\.js' is not in the build context \//u, /^did you mean 'app\.js'\?$/u],
    ['src/mian.c', /'src\/mian\.c'/u, /^did you mean 'src\/main\.c'\?$/u],
    ['scr/main.c', /'scr\/main\.c'/u, /^look at what is there: ls -A \//u],
    ['*.py', /'\*\.py'/u, /^look at what is there/u],
    ['arr[0].txt', /matches nothing/u, /write \\ before each/u],
    ['app.js/x', /'app\.js\/x'/u, /^look/u],
    ['elsewhere\n\u0007', /'elsewhere '/u, /^look/u],
  ])('%j is told, and what to do', async ([source, message, hint], { ground }) => {
    ground.write(FILES);
    const error = await errorOf(() => ground.select([source]));
    expect(error).toMatchObject({
      code: 'preflight_failed',
      exitCode: 6,
      message: expect.stringMatching(message),
      hints: [expect.stringMatching(hint)],
    });
  });

  test('is told of all sources at once', async ({ ground }) => {
    ground.write(FILES);
    const error = await errorOf(() => ground.select(['one', 'app.js', 'two/*']));
    expect(error).toMatchObject({ message: expect.stringMatching(/2 problems\n.*'one'.*\n.*'two\/\*'/u) });
  });

  test('is not the whole context', async ({ ground }) => {
    ground.write(FILES);
    expect(await errorOf(() => ground.select(['']))).toMatchObject({ code: 'usage' });
  });

  test('because it is left out names the line that does it', async ({ ground }) => {
    ground.write({ ...FILES, '.dockerignore': '# comment\n*.js\n!index.js\n' });
    const error = await errorOf(() => ground.select(['app.js']));
    expect(error).toMatchObject({
      message: `build context: 'app.js' is left out of the build context by line 2 of ${ground.at('.dockerignore')}: *.js`,
      hints: [`take it in again by a later line of ${ground.at('.dockerignore')}: !app.js`],
    });
  });

  test.for(['app[', '[b-a]*'])('%j is no pattern', async (source, { ground }) => {
    ground.write(FILES);
    expect(await errorOf(() => ground.select([source]))).toMatchObject({ code: 'usage', exitCode: 2 });
  });
});

describe('a symbolic link', () => {
  const link = { 'real/file': 'content', 'real/deep/x': '' };

  test('that is a source is followed, and gives its name', async ({ ground }) => {
    ground.write(link);
    symlinkSync('real/file', ground.at('link'));
    const { entries } = await ground.open().resolve(['link', 'li*']);
    expect(entries.map(({ path, type, source }) => [path, type, source])).toEqual([
      ['link', 'file', ground.at('real/file')],
      ['link', 'file', ground.at('real/file')],
    ]);
  });

  test.for<[target: string, source: string]>([
    ['real', 'link/file'],
    ['/real', 'link/file'],
    ['../../../real', 'link/file'],
    ['/../real/deep/..', 'link/file'],
    ['./real/.', 'link/f*'],
    ['real', 'link/../link/file'],
  ])('to %j is followed inside the context', async ([target, source], { ground }) => {
    ground.write(link);
    symlinkSync(target, ground.at('link'));
    const { entries } = await ground.open().resolve([source]);
    expect(entries.map((entry) => entry.source)).toEqual([ground.at('real/file')]);
  });

  test.for(['/etc', '../../../../../../etc'])(
    'to %j does not lead to the host',
    async (target, { ground }) => {
      ground.write(link);
      symlinkSync(target, ground.at('link'));
      const error = await errorOf(() => ground.select(['link/passwd']));
      expect(error).toMatchObject({ message: expect.stringContaining('is not in the build context') });
    },
  );

  test('within a source stands for itself', async ({ ground }) => {
    ground.write(link);
    symlinkSync('/nowhere', ground.at('real/away'));
    symlinkSync('..', ground.at('real/deep/round'));
    const { entries } = await ground.open().resolve(['real']);
    expect(entries.map(({ path, type, target }) => [path, type, target])).toEqual([
      ['', 'directory', null],
      ['away', 'symlink', '/nowhere'],
      ['deep', 'directory', null],
      ['deep/round', 'symlink', '..'],
      ['deep/x', 'file', null],
      ['file', 'file', null],
    ]);
  });

  test('that leads around in a circle is told', async ({ ground }) => {
    symlinkSync('two', ground.at('one'));
    symlinkSync('one', ground.at('two'));
    for (const source of ['one', 'one/file', 'o*']) {
      const error = await errorOf(() => ground.select([source]));
      expect(error).toMatchObject({
        code: 'preflight_failed',
        message: expect.stringMatching(/^build context: one\S* .*around in a circle$/u),
      });
    }
  });

  test('that leads nowhere is told, alone and among what a pattern matches', async ({ ground }) => {
    ground.write(link);
    symlinkSync('missing', ground.at('really'));
    expect(await errorOf(() => ground.select(['really']))).toMatchObject({ code: 'preflight_failed' });
    expect(await errorOf(() => ground.select(['real*']))).toMatchObject({
      message: 'build context: really is a symbolic link that leads to nothing in the build context',
    });
    expect(await ground.select(['real*'], { exclude: ['really'] })).toContain('file');
  });

  test('to what is left out leads nowhere', async ({ ground }) => {
    ground.write({ ...link, '.dockerignore': 'real/file\nlink2' });
    symlinkSync('real/file', ground.at('link'));
    symlinkSync('real', ground.at('link2'));
    for (const source of ['link', 'link2', 'link2/deep/x']) {
      const error = await errorOf(() => ground.select([source]));
      expect(error).toMatchObject({ message: expect.stringContaining('is left out of the build context') });
    }
  });
});
