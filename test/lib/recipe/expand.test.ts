import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BangerError } from '../../../src/lib/errors.ts';
import { expandDocument, expandWord } from '../../../src/lib/recipe/expand.ts';

const VARIABLES = new Map([
  ['a', 'one'],
  ['a_b', 'two'],
  ['empty', ''],
  ['file', 'foobarbaz.tar.gz'],
  ['path', '/usr/local/bin'],
  ['spaced', 'x y  z'],
  ['A1', 'upper'],
]);

function expand(word: string, escaper: '\\' | '`' = '\\'): string {
  return expandWord(word, VARIABLES, escaper);
}

describe('a word', () => {
  // Each is the word and what it becomes.
  test.each([
    ['plain', 'plain'],
    ['', ''],
    ['$a', 'one'],
    ['${a}', 'one'],
    ['x$a.y', 'xone.y'],
    ['$a_b', 'two'],
    ['${a}_b', 'one_b'],
    ['$A1', 'upper'],
    ['$unset', ''],
    ['${unset}', ''],
    ['$', '$'],
    ['a$', 'a$'],
    ['$ a', '$ a'],
    ['$/x', '$/x'],
    ['$1x', 'x'],
    ['$$a', 'a'],
    ['$a$a', 'oneone'],
    ['$spaced', 'x y  z'],
  ])('%j becomes %j', (word, expected) => {
    expect(expand(word)).toBe(expected);
  });

  test.each([
    ["'$a'", '$a'],
    ['"$a"', 'one'],
    ['"\'$a\'"', "'one'"],
    ['\'"$a"\'', '"$a"'],
    ['""', ''],
    ['"a b"c\' d\'', 'a bc d'],
    ['\\$a', '$a'],
    ['\\${a}', '${a}'],
    ['"\\$a"', '$a'],
    ['"\\""', '"'],
    ['"\\\\"', '\\'],
    ['"\\n"', '\\n'],
    ["'\\'", '\\'],
    ['\\n', 'n'],
    ['\\\\n', '\\n'],
    ['a\\ b', 'a b'],
    ['end\\', 'end'],
    ['\\"', '"'],
    ["it\\'s", "it's"],
  ])('with quotes and escapes, %j becomes %j', (word, expected) => {
    expect(expand(word)).toBe(expected);
  });

  test.each([
    ['C:\\dir\\$a', 'C:\\dir\\one'],
    ['`$a', '$a'],
    ['"`""', '"'],
    ['"\\"', '\\'],
  ])('escaped with a backtick, %j becomes %j', (word, expected) => {
    expect(expand(word, '`')).toBe(expected);
  });

  test.each([
    ['${a:-w}', 'one'],
    ['${a-w}', 'one'],
    ['${a:+w}', 'w'],
    ['${a+w}', 'w'],
    ['${a:?w}', 'one'],
    ['${a?w}', 'one'],
    ['${empty:-w}', 'w'],
    ['${empty-w}', ''],
    ['${empty:+w}', ''],
    ['${empty+w}', 'w'],
    ['${empty?w}', ''],
    ['${unset:-w}', 'w'],
    ['${unset-w}', 'w'],
    ['${unset:+w}', ''],
    ['${unset+w}', ''],
    ['${unset:-}', ''],
    ['${unset:-$a}', 'one'],
    ['${unset:-${empty:-${a}}}x', 'onex'],
    ['${unset:-a b}', 'a b'],
    ['${unset:-"a}b"}', 'a}b'],
    ["${unset:-'$a'}", '$a'],
    ['${unset:-\\}}', '}'],
    ['${a:+\\}}', '}'],
    ['"${unset:-"x"}"', 'x'],
    ['${unset:-:-}', ':-'],
  ])('with a choice, %j becomes %j', (word, expected) => {
    expect(expand(word)).toBe(expected);
  });

  test.each([
    ['${file#f*b}', 'arbaz.tar.gz'],
    ['${file##f*b}', 'az.tar.gz'],
    ['${file%.*}', 'foobarbaz.tar'],
    ['${file%%.*}', 'foobarbaz'],
    ['${file%.?z}', 'foobarbaz.tar'],
    ['${file#nothing}', 'foobarbaz.tar.gz'],
    ['${file#}', 'foobarbaz.tar.gz'],
    ['${file##*}', ''],
    ['${path##*/}', 'bin'],
    ['${path%/*}', '/usr/local'],
    ['${path#$unset}', '/usr/local/bin'],
    ['${file%.${unset:-gz}}', 'foobarbaz.tar'],
    ['${file/ba/fo}', 'fooforbaz.tar.gz'],
    ['${file//ba/fo}', 'fooforfoz.tar.gz'],
    ['${file/b*z/-}', 'foo-'],
    ['${file//?a?/-}', 'foo--.-.gz'],
    ['${path//\\//:}', ':usr:local:bin'],
    ['${file/./\\}}', 'foobarbaz\\}tar.gz'],
    ['${file//o/$a}', 'foneonebarbaz.tar.gz'],
    ['${unset#x}', ''],
    ['${unset/x/y}', ''],
    ['${spaced// /_}', 'x_y__z'],
  ])('with a pattern, %j becomes %j', (word, expected) => {
    expect(expand(word)).toBe(expected);
  });

  test('with a pattern takes stars and question marks as they are where they are escaped', () => {
    const star = new Map([['v', 'a*b?c']]);
    expect(expandWord('${v%\\?*}', star, '\\')).toBe('a*b');
    expect(expandWord('${v#*\\*}', star, '\\')).toBe('b?c');
    expect(expandWord('${v//\\*/+}', star, '\\')).toBe('a+b?c');
  });

  test.each([
    ['${', 'is no substitution'],
    ['${}', 'is no substitution'],
    ['${:-x}', 'is no substitution'],
    ['x${{a}}y', "'${{a}' is no substitution"],
    ['x${y', "'${y' is no substitution"],
    ['${a:}', 'is no substitution'],
    ['${a!b}', 'is no substitution'],
    ['${a:/b/c}', 'is no substitution'],
    ['${a', 'is no substitution'],
    ['${a:-b', "a '}' is missing"],
    ['${a/b}', "a '/' is missing"],
    ['${a//b}', "a '/' is missing"],
    ['${a/b/c', "a '}' is missing"],
    ['${a#\\x}', 'nothing but * and ? is escaped'],
    ["'a", 'a single quote is missing'],
    ['"a', 'a double quote is missing'],
    ['"a\\"', 'a double quote is missing'],
    ['${unset:?}', "'unset' is not set"],
    ['${empty:?say it}', "'empty' is not set: 'say it'"],
    ['${unset?$a}', "'unset' is not set: '$a'"],
  ])('%j is refused: %s', (word, why) => {
    expect(() => expand(word)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringContaining(why) }),
    );
  });

  test('may be any text: it is replaced or refused', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '$',
        '${',
        '}',
        '"',
        "'",
        '\\',
        '`',
        ':',
        '-',
        '+',
        '?',
        '#',
        '%',
        '/',
        '*',
        'a',
        'file',
        ' ',
      ),
      fc.string({ unit: 'binary', maxLength: 3 }),
    );
    const words = fc.array(piece, { maxLength: 30 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(words, fc.constantFrom('\\' as const, '`' as const), (word, escaper) => {
        try {
          expandWord(word, VARIABLES, escaper);
          expandDocument(word, VARIABLES);
        } catch (error) {
          if (!(error instanceof BangerError) || error.code !== 'usage') throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('in quotes, or escaped, is what it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const single = `'${text.replaceAll("'", `'"'"'`)}'`;
        const double = `"${text.replaceAll(/[\\"$]/gu, '\\$&')}"`;
        const escaped = Array.from(text, (character) => `\\${character}`).join('');
        for (const word of [single, double, escaped]) expect(expand(word)).toBe(text);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a here-document', () => {
  test.each([
    ['$a "$a" \'$a\'\n', 'one "one" \'one\'\n'],
    ["\\$a \\\\ ${unset:-it's}\n", "$a \\ it's\n"],
    ["it's $a's\n", "it's one's\n"],
  ])('%j becomes %j', (text, expected) => {
    expect(expandDocument(text, VARIABLES)).toBe(expected);
  });
});

describe('what would grow without end', () => {
  const long = new Map([['v', 'x'.repeat(100_000)]]);

  test.each(['$v$v', '${v//x/yy}', '"$v$v"', '${w:-$v$v}'])('%s is refused', (word) => {
    expect(() => expandWord(word, long, '\\')).toThrow(/longer than 131071 characters/u);
  });

  test('may be as long as a program can be given', () => {
    const half = new Map([['v', 'x'.repeat(65_535)]]);
    expect(expandWord('$v$v.', half, '\\')).toHaveLength(131_071);
    expect(() => expandWord('$v$v..', half, '\\')).toThrow(/longer than/u);
  });

  test('may be 50 deep', () => {
    const deep = (depth: number) => `${'${w:-'.repeat(depth)}x${'}'.repeat(depth)}`;
    expect(expandWord(deep(50), long, '\\')).toBe('x');
    expect(() => expandWord(deep(51), long, '\\')).toThrow(/nested more than 50 deep/u);
  });

  test('is refused before it has grown', () => {
    const started = performance.now();
    expect(() => expandDocument('$v'.repeat(500_000), long)).toThrow(BangerError);
    expect(() => expandWord('${a:-'.repeat(100_000), long, '\\')).toThrow(/nested more than 50 deep/u);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
