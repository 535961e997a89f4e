import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Glob } from '../../../src/lib/context/glob.ts';
import { BangerError } from '../../../src/lib/errors.ts';

type Row = [pattern: string, path: string, matches: boolean];

/** What Go's documentation and tests of path/filepath.Match say, and here holds for both kinds of pattern. */
const GO: Row[] = [
  ['abc', 'abc', true],
  ['*', 'abc', true],
  ['*c', 'abc', true],
  ['a*', 'a', true],
  ['a*', 'abc', true],
  ['a*', 'ab/c', false],
  ['a*/b', 'abc/b', true],
  ['a*/b', 'a/c/b', false],
  ['a*b*c*d*e*/f', 'axbxcxdxe/f', true],
  ['a*b*c*d*e*/f', 'axbxcxdxexxx/f', true],
  ['a*b*c*d*e*/f', 'axbxcxdxe/xxx/f', false],
  ['a*b*c*d*e*/f', 'axbxcxdxexxx/fff', false],
  ['a*b?c*x', 'abxbbxdbxebxczzx', true],
  ['a*b?c*x', 'abxbbxdbxebxczzy', false],
  ['ab[c]', 'abc', true],
  ['ab[b-d]', 'abc', true],
  ['ab[e-g]', 'abc', false],
  ['ab[^c]', 'abc', false],
  ['ab[^b-d]', 'abc', false],
  ['ab[^e-g]', 'abc', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'ab', false],
  ['a?b', 'a☺b', true],
  ['a?b', 'a💾b', true],
  ['a[^a]b', 'a☺b', true],
  ['a???b', 'a☺b', false],
  ['[a-ζ]*', 'α', true],
  ['*[a-ζ]', 'A', false],
  ['a?b', 'a/b', false],
  ['a*b', 'a/b', false],
  ['[\\]a]', ']', true],
  ['[\\-]', '-', true],
  ['[x\\-]', 'x', true],
  ['[x\\-]', '-', true],
  ['[x\\-]', 'z', false],
  ['[\\-x]', '-', true],
  ['[\\-x]', 'a', false],
  ['[[]', '[', true],
  ['arr[[]0].txt', 'arr[0].txt', true],
  ['arr[0].txt', 'arr[0].txt', false],
  ['[!a]', '!', true],
  ['[!a]', 'b', false],
  ['[*]', '*', true],
  ['[*]', 'a', false],
  ['*x', 'xxx', true],
  ['\\a', 'a', true],
  ['a\\\\', 'a\\', true],
  ['a.|)$(}+{bc', 'a.|)$(}+{bc', true],
  ['abc.def', 'abcZdef', false],
  ['.*', '.foo', true],
  ['.*', 'foo', false],
  ['?', '\udc80', true],
  ['a\udce9', 'a\udce9', true],
  ['*', 'a\nb', true],
];

/** `**` as Docker's documentation and the tests of moby/patternmatcher have it. */
const CROSSES: Row[] = [
  ['**', 'file', true],
  ['**', 'dir/file', true],
  ['**/**', 'dir/file', true],
  ['dir/**', 'dir/file', true],
  ['dir/**', 'dir/dir2/file', true],
  ['dir/**', 'dir', false],
  ['**/dir', 'dir', true],
  ['**/dir', 'dir/file', false],
  ['**/dir2/*', 'dir/dir2/file', true],
  ['**/dir2/**', 'dir/dir2/dir3/file', true],
  ['**file', 'file', true],
  ['**file', 'dir/file', true],
  ['**file', 'dir/dir/file', true],
  ['**file', 'dir/profile', true],
  ['**/file', 'dir/profile', false],
  ['**/file*', 'dir/dir/file.txt', true],
  ['**/file*txt', 'dir/dir/file.txt', true],
  ['**/file*.txt*', 'dir/dir/file.txt', true],
  ['**/**/*.txt', 'dir/dir/file.txt', true],
  ['**/**/*.txt2', 'dir/dir/file.txt', false],
  ['**/*.txt', 'file.txt', true],
  ['**/**/*.txt', 'file.txt', true],
  ['a**/*.txt', 'a/file.txt', true],
  ['a**/*.txt', 'a/dir/dir/file.txt', true],
  ['a/*.txt', 'a/dir/file.txt', false],
  ['a/*.txt**', 'a/file.txt', true],
  ['**/foo/bar', 'foo/bar', true],
  ['**/foo/bar', 'dir/dir2/foo/bar', true],
  ['abc/**', 'abc/def/ghi', true],
  ['**/.foo', '.foo', true],
  ['**/.foo', 'bar.foo', false],
  ['a/**/b', 'a/b', true],
  ['a/**/b', 'a/x/y/b', true],
  ['a/**/b', 'ab', false],
];

/** Where a part of a path is no more than `**`, it is any number of parts; elsewhere it is one `*`. */
const STAYS: Row[] = [
  ['**/*.txt', 'file.txt', true],
  ['**/*.txt', 'dir/dir/file.txt', true],
  ['src/**/*.txt', 'src/x/y/c.txt', true],
  ['src/**', 'src/x/y', true],
  ['a**b', 'a/b', false],
  ['a**b', 'axxb', true],
  ['**file', 'dir/file', false],
  ['**file', 'profile', true],
  ['***', 'dir/file', false],
];

const BAD = [
  '[]a]',
  '[-]',
  '[x-]',
  '[-x]',
  '\\',
  'a\\',
  '[a-b-c]',
  '[',
  '[^',
  '[^bc',
  'a[',
  'a[b',
  '[]',
  '[b-a]',
];

test.each(GO)('%j and %j: %j', (pattern, path, matches) => {
  expect(new Glob(pattern, 'crosses').matches(path)).toBe(matches);
  expect(new Glob(pattern, 'stays').matches(path)).toBe(matches);
});

test.each(CROSSES)('crossing directories, %j and %j: %j', (pattern, path, matches) => {
  expect(new Glob(pattern, 'crosses').matches(path)).toBe(matches);
});

test.each(STAYS)('as a source, %j and %j: %j', (pattern, path, matches) => {
  expect(new Glob(pattern, 'stays').matches(path)).toBe(matches);
});

test.each(BAD)('%j is no pattern', (pattern) => {
  expect(() => new Glob(pattern, 'crosses')).toThrow(
    expect.objectContaining({ code: 'usage', message: expect.stringContaining('is not a pattern') }),
  );
});

test('one that is longer than any path is refused', () => {
  expect(() => new Glob('*'.repeat(5000), 'crosses')).toThrow(/too long/u);
});

const letters = fc.constantFrom(
  'a',
  'b',
  '*',
  '**',
  '?',
  '/',
  '[ab]',
  '[^a]',
  '\\*',
  '\\a',
  'é',
  '💾',
  '\udcff',
);
const patterns = fc.array(letters, { maxLength: 10 }).map((parts) => parts.join(''));
const paths = fc
  .array(fc.constantFrom('a', 'b', '*', '/', 'é', '💾', '\udcff'), { maxLength: 10 })
  .map((parts) => parts.join(''));

describe('whatever the pattern', () => {
  test('it is one, or refused', () => {
    fc.assert(
      fc.property(fc.oneof(patterns, fc.string({ unit: 'binary' })), paths, (pattern, path) => {
        try {
          return typeof new Glob(pattern, 'crosses').matches(path) === 'boolean';
        } catch (error) {
          return error instanceof BangerError && error.code === 'usage';
        }
      }),
    );
  });

  test('it matches piece by piece what it matches as a whole', () => {
    fc.assert(
      fc.property(patterns, paths, fc.nat(), (pattern, path, cut) => {
        const glob = attempt(pattern);
        if (glob === null) return true;
        const characters = [...path];
        const at = cut % (characters.length + 1);
        const halves = [characters.slice(0, at).join(''), characters.slice(at).join('')];
        const progress = halves.reduce((reached, half) => glob.advance(reached, half), glob.start);
        return glob.isComplete(progress) === glob.matches(path);
      }),
    );
  });

  test('it matches what the regular expression made of it does', () => {
    fc.assert(
      fc.property(patterns, paths, (pattern, path) => {
        const glob = attempt(pattern);
        return glob === null || glob.matches(path) === asRegExp(pattern).test(path);
      }),
      { numRuns: 2000 },
    );
  });

  test('it takes no longer for many stars', { timeout: 5000 }, () => {
    const glob = new Glob(`${'*a'.repeat(500)}b`, 'crosses');
    const deep = new Glob(`${'**/*a/'.repeat(300)}b`, 'crosses');
    expect(glob.matches('a'.repeat(2000))).toBe(false);
    expect(deep.matches('a/'.repeat(1000))).toBe(false);
  });
});

function attempt(pattern: string): Glob | null {
  try {
    return new Glob(pattern, 'crosses');
  } catch {
    return null;
  }
}

/** As moby/patternmatcher makes it, for patterns of the letters above. */
function asRegExp(pattern: string): RegExp {
  if (/^\*\*[^/*?[\\][^*?[\\]*$/u.test(pattern)) return new RegExp(`^.*${pattern.slice(2)}$`, 'su');
  const source = pattern.replace(/\*\*\/?$|\*\*\/?|\*|\?|\[\^?ab?\]|\\./gsu, (part, at: number) => {
    if (part.startsWith('**')) return at + part.length === pattern.length ? '.*' : '(?:.*/)?';
    if (part === '*') return '[^/]*';
    if (part === '\\a') return 'a';
    return part === '?' ? '[^/]' : part;
  });
  return new RegExp(`^${source}$`, 'su');
}
