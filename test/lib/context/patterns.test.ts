import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanPath, PatternList, parsePattern } from '../../../src/lib/context/patterns.ts';

function listOf(...texts: string[]): PatternList {
  return new PatternList(
    texts.map((text, index) => parsePattern(text, index + 1)).filter((pattern) => pattern !== null),
  );
}

function excludes(list: PatternList, path: string): boolean {
  return list.enterAll(path).excluded;
}

test.each<[patterns: string[], left: string[], kept: string[]]>([
  // Docker's documentation of .dockerignore, line by line.
  [['*/temp*'], ['somedir/temporary.txt', 'somedir/temp', 'somedir/temp/x'], ['temp', 'a/b/temp']],
  [['*/*/temp*'], ['somedir/subdir/temporary.txt'], ['somedir/temporary.txt']],
  [['temp?'], ['tempa', 'tempb', 'tempa/x'], ['temp', 'tempab', 'dir/tempa']],
  [['**/*.go'], ['a.go', 'a/b/c.go'], ['a.gox']],
  [['*.md', '!README.md'], ['a.md'], ['README.md', 'docs/a.md']],
  [
    ['*.md', '!README*.md', 'README-secret.md'],
    ['a.md', 'README-secret.md'],
    ['README.md', 'README-x.md'],
  ],
  [['*.md', 'README-secret.md', '!README*.md'], ['a.md'], ['README.md', 'README-secret.md']],
  [
    ['*', '!src'],
    ['a', 'b/c'],
    ['src', 'src/a', 'src/b/c'],
  ],
  // What is in a directory goes with it, until a later line says otherwise.
  [['node_modules'], ['node_modules', 'node_modules/a/b'], ['a/node_modules']],
  [
    ['**/node_modules', '!vendor'],
    ['node_modules', 'a/node_modules/x'],
    ['vendor', 'vendor/node_modules/x'],
  ],
  [['docs', '!docs/README.md'], ['docs', 'docs/a'], ['docs/README.md']],
  [['docs/', '!docs/README.md'], ['docs/a'], ['docs/README.md']],
  [
    ['docs/*', '!docs/README.md'],
    ['docs/a', 'docs/a/README.md'],
    ['docs', 'docs/README.md'],
  ],
  [['!a.go', '*.go'], ['a.go'], []],
  [
    ['**', '!util/docker/web'],
    ['util', 'util/docker', 'x'],
    ['util/docker/web', 'util/docker/web/foo'],
  ],
  [['**', '!util/docker/web', 'util/docker/web/foo'], ['util/docker/web/foo'], ['util/docker/web/bar']],
  [['**', '!dist/*.whl'], ['dist', 'dist/x'], ['dist/a-2.4.0+g08.whl']],
  [
    ['a', '!a/b', 'a/b/c', '!a/b/c/d'],
    ['a', 'a/x', 'a/b/c', 'a/b/c/x'],
    ['a/b', 'a/b/x', 'a/b/c/d'],
  ],
  // How they may be written.
  [['/foo/bar'], ['foo/bar'], ['foo', 'x/foo/bar']],
  [['foo/bar/'], ['foo/bar', 'foo/bar/x'], []],
  [['./foo//x/../bar'], ['foo/bar'], ['foo/x']],
  [['  foo  '], ['foo'], []],
  [['a', '!  /a/b  '], ['a'], ['a/b']],
  [['foo bar'], ['foo bar'], ['foo']],
  [
    ['\\#x', '\\!y'],
    ['#x', '!y'],
    ['x', 'y'],
  ],
  [['.'], [], ['a', 'a/b']],
  [['./'], [], ['a']],
  [['/'], [], ['a']],
  [[''], [], ['a']],
  [['..', '../a'], [], ['a', 'b']],
  [['.*'], ['.git', '.git/x', '.a'], ['a', 'b/.git']],
  [['[a-c]*'], ['a', 'bcd', 'c/x'], ['d']],
  [['[^a]'], ['b'], ['a', 'bb']],
  [
    ['caf\u00e9', 'x?z'],
    ['caf\u00e9', 'x💾z'],
    ['cafe', 'x/z'],
  ],
])('%j', (patterns, left, kept) => {
  const list = listOf(...patterns);
  expect([...left, ...kept].filter((path) => excludes(list, path))).toEqual(left);
});

test.each(['!', '! ', ' ! '])('%j takes nothing in again', (text) => {
  expect(() => parsePattern(text, 1)).toThrow(expect.objectContaining({ code: 'usage' }));
});

test.each([
  ['a/b', 'a/b'],
  ['/a//b/', 'a/b'],
  ['./a/./b/..', 'a'],
  ['../../a', 'a'],
  ['a/../../b', 'b'],
  ['.', ''],
  ['/', ''],
  ['..', ''],
])('the path %j is %j', (written, clean) => {
  expect(cleanPath(written)).toBe(clean);
});

describe('a directory that is left out', () => {
  test.each<[patterns: string[], directory: string, hasExceptions: boolean]>([
    [['a'], 'a', false],
    [['a', '!a/b'], 'a', true],
    [['a', '!b'], 'a', false],
    [['a', '!a'], 'a', false],
    [['!a/b', 'a'], 'a', false],
    [['a', '!**/keep'], 'a', true],
    [['a', '!a/*/c'], 'a/b', true],
    [['a', '!a/x/c'], 'a/b', false],
    [['a', '!a/b/c', 'a/b'], 'a/b', false],
    [['*', '!src/lib'], 'src', true],
    [['*', '!src/lib'], 'node_modules', false],
  ])('by %j: %j may still hold something: %j', (patterns, directory, hasExceptions) => {
    expect(listOf(...patterns).enterAll(directory).hasExceptions).toBe(hasExceptions);
  });
});

const names = fc.constantFrom('a', 'b', 'ab', 'c');
const patterns = fc
  .tuple(
    fc.boolean(),
    fc.array(fc.constantFrom('a', 'b', '*', '**', '?', 'a*', '**b', '[^a]'), { minLength: 1, maxLength: 4 }),
  )
  .map(([isException, parts]) => `${isException ? '!' : ''}${parts.join('/')}`);

describe('whatever the patterns', () => {
  const cases = [
    fc.array(patterns, { maxLength: 6 }),
    fc.array(names, { minLength: 1, maxLength: 5 }),
  ] as const;

  test('the last that matches a path, or a directory above it, decides', () => {
    fc.assert(
      fc.property(...cases, (texts, parts) => {
        const above = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
        const deciding = texts
          .map((text) => parsePattern(text, 1))
          .findLast((pattern) => above.some((path) => pattern?.glob.matches(path)));
        const expected = deciding !== undefined && !deciding?.isException;
        const list = listOf(...texts);
        const parent = list.enterAll(parts.slice(0, -1).join('/'));
        const verdict = list.judge(parent, parts.at(-1) ?? '').excluded;
        return verdict === expected && excludes(list, parts.join('/')) === expected;
      }),
      { numRuns: 2000 },
    );
  });

  test('nothing is taken in below a directory that need not be read', () => {
    fc.assert(
      fc.property(...cases, (texts, parts) => {
        const list = listOf(...texts);
        const isPruned = parts.slice(0, -1).some((_, index) => {
          const { excluded, hasExceptions } = list.enterAll(parts.slice(0, index + 1).join('/'));
          return excluded && !hasExceptions;
        });
        return !isPruned || excludes(list, parts.join('/'));
      }),
      { numRuns: 2000 },
    );
  });
});
