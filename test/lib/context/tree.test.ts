import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { openContext } from '../../../src/lib/context/context.ts';
import { fsPath } from '../../../src/lib/system/file-name.ts';
import { errorOf, makeTooDeep, test } from './ground.ts';

describe('a directory', () => {
  test('comes with all in it, in the order of their bytes, directories before what is in them', async ({
    ground,
  }) => {
    ground.write({
      'b/x': '',
      'a.b': '',
      'a/x': '',
      'a/': '',
      B: '',
      é: '',
      'caf\udce9': '',
      'line\nbreak': '',
    });
    expect(await ground.select(['.'])).toEqual([
      '',
      'B',
      'a',
      'a/x',
      'a.b',
      'b',
      'b/x',
      'caf\udce9',
      'line\nbreak',
      'é',
    ]);
  });

  test('tells modes and sizes', async ({ ground }) => {
    ground.write({ 'd/f': '12345' });
    chmodSync(ground.at('d'), 0o2750);
    chmodSync(ground.at('d/f'), 0o4711);
    const { entries } = await ground.open().resolve(['d']);
    expect(entries.map(({ mode, size }) => [mode.toString(8), size])).toEqual([
      ['2750', 0],
      ['4711', 5],
    ]);
  });

  test('as deep as a path can be is read', async ({ ground }) => {
    const depth = Math.floor((4090 - ground.root.length) / 2);
    mkdirSync(ground.at('d/'.repeat(depth)), { recursive: true });
    const { entries } = await ground.open().resolve(['.']);
    expect(entries).toHaveLength(depth + 1);
    expect(entries.at(-1)?.source).toHaveLength(ground.root.length + depth * 2);
  });

  test('deeper than a path can be is told', async ({ ground }) => {
    makeTooDeep(ground.root);
    expect(await errorOf(() => ground.select(['.']))).toMatchObject({
      code: 'preflight_failed',
      message: expect.stringMatching(/the path is too long$/u),
    });
    expect(await ground.select(['.'], { exclude: ['d*'] })).toEqual(['']);
  });
});

describe('what cannot be copied', () => {
  test.for([
    ['a FIFO', 'mkfifo "$0/bad"'],
    [
      'a socket',
      'exec "$1" -e "require(\'net\').createServer().listen(process.argv[1], () => process.exit())" "$0/bad"',
    ],
  ])('%s is told by its name', async ([kind = '', make = ''], { ground }) => {
    ground.write({ good: '' });
    execFileSync('sh', ['-c', make, ground.root, process.execPath]);
    for (const source of ['.', 'bad', 'b*']) {
      expect(await errorOf(() => ground.select([source]))).toMatchObject({
        code: 'preflight_failed',
        message: `build context: ${ground.at('bad')} is ${kind}, which cannot be copied`,
      });
    }
    expect(await ground.select(['.'], { exclude: ['bad'] })).toEqual(['', 'good']);
  });

  test('a device is told, too', async ({ ground }) => {
    const signal = new AbortController().signal;
    const context = openContext({ directory: '/dev', cacheDir: ground.cacheDir, signal });
    expect(await errorOf(() => context.resolve(['null']))).toMatchObject({
      message: 'build context: /dev/null is a device, which cannot be copied',
    });
  });

  test('is told all at once, up to a number', async ({ ground }) => {
    execFileSync('sh', ['-c', 'cd "$0" && mkfifo $(seq 100)', ground.root]);
    const error = await errorOf(() => ground.select(['.']));
    expect(error).toMatchObject({ message: expect.stringContaining('20 problems') });
  });
});

describe('.dockerignore', () => {
  const files = { 'a.md': '', 'README.md': '', 'docs/a.md': '', 'docs/sub/b.md': '', 'src/main.c': '' };

  test.for<[lines: string, paths: string[]]>([
    [
      '*.md\n!README.md',
      ['', 'README.md', 'docs', 'docs/a.md', 'docs/sub', 'docs/sub/b.md', 'src', 'src/main.c'],
    ],
    ['*\n!src', ['', 'src', 'src/main.c']],
    ['*\n!docs/sub/b.md', ['', 'docs', 'docs/sub', 'docs/sub/b.md']],
    ['**\n!**/*.c', ['', 'src', 'src/main.c']],
    ['docs\n!docs/nothing\n*.md\nsrc/main.c', ['', 'src']],
    ['*', ['']],
  ])('%j leaves %j', async ([lines, paths], { ground }) => {
    ground.write({ ...files, '.dockerignore': `${lines}\n.dockerignore` });
    expect(await ground.select(['.'])).toEqual(paths);
  });

  test('holds for patterns of sources', async ({ ground }) => {
    ground.write({ ...files, '.dockerignore': 'docs\n!docs/sub\na.md' });
    expect(await ground.select(['*.md'])).toEqual(['README.md']);
    expect(await ground.select(['*/*/*.md'])).toEqual(['b.md']);
    expect(await ground.select(['d*'])).toEqual(['', 'sub', 'sub/b.md']);
    expect(await ground.select(['docs'])).toEqual(['', 'sub', 'sub/b.md']);
  });

  test('spares what it leaves out from being read', async ({ ground }) => {
    ground.write({ ...files, '.dockerignore': 'docs\n!src' });
    // Reading it would fail.
    makeTooDeep(ground.at('docs'));
    expect(await ground.select(['.'])).not.toContain('docs');
  });
});

describe('--exclude', () => {
  const files = {
    'hom.txt': '',
    'home.md': '',
    'home.c': '',
    'dir/a.txt': '',
    'dir/sub/b.txt': '',
    'dir/c.md': '',
  };

  test.for<[sources: string[], exclude: string[], paths: string[]]>([
    [['hom*'], ['*.txt'], ['home.c', 'home.md']],
    [['hom*'], ['*.txt', '*.md'], ['home.c']],
    [['dir'], ['*.txt'], ['', 'c.md', 'sub', 'sub/b.txt']],
    [['dir'], ['**/*.txt'], ['', 'c.md', 'sub']],
    [['dir'], ['sub'], ['', 'a.txt', 'c.md']],
    [['dir'], ['*', '!sub/b.txt'], ['', 'sub', 'sub/b.txt']],
    [['*'], ['dir', '*.md'], ['hom.txt', 'home.c']],
    [['dir'], ['dir'], ['', 'a.txt', 'c.md', 'sub', 'sub/b.txt']],
  ])('%j without %j', async ([sources, exclude, paths], { ground }) => {
    ground.write(files);
    expect(await ground.select(sources, { exclude })).toEqual(paths);
  });

  test('that leaves nothing is told', async ({ ground }) => {
    ground.write(files);
    expect(await errorOf(() => ground.select(['*.c'], { exclude: ['home*'] }))).toMatchObject({
      message: "build context: --exclude leaves nothing of '*.c'",
    });
    expect(await errorOf(() => ground.select(['dir'], { exclude: ['a['] }))).toMatchObject({ code: 'usage' });
  });
});

test('a run that is cancelled stops looking', async ({ ground }) => {
  for (let n = 0; n < 200; n += 1) mkdirSync(fsPath(ground.at(`d${n}`)));
  for (let n = 0; n < 200; n += 1) symlinkSync('x', ground.at(`d${n}/l`));
  const reason = new Error('cancelled');
  expect(await errorOf(() => ground.open({ signal: AbortSignal.abort(reason) }).resolve(['.']))).toBe(reason);
});
