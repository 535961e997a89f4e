import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BangerError } from '../../../src/lib/errors.ts';
import { readRecipe } from '../../../src/lib/recipe/read.ts';
import { readText, refusalOf } from './read-text.ts';

/** Reads it or refuses it: nothing else is right. */
function readOrRefuse(text: string): void {
  try {
    readRecipe({ path: 'Containerfile', text, buildArgs: new Map([['A', '1']]) });
  } catch (error) {
    if (!(error instanceof BangerError) || error.code !== 'usage') throw error;
  }
}

const KEYWORDS = 'FROM RUN COPY ADD ENV ARG LABEL WORKDIR USER SHELL CMD ONBUILD'.split(' ');
const PIECES = [
  ...['--from=0', '--mount=type=cache,target=', '--mount=', '--chown=', '--', '--platform=', ' AS a'],
  ...[
    '<<EOF',
    '<<-E',
    'EOF',
    '["a"',
    ']',
    ',',
    '"',
    "'",
    '\\',
    '`',
    '$A',
    '${A:-',
    '}',
    '${',
    '#',
    '=',
    '/',
    '*',
  ],
  ...[' ', '\t', '\r\n', '\n', '\\\n', '# escape=`', 'scratch', 'a', '__proto__', '\u2028', '\ud800'],
];

describe('any text', () => {
  test('is read or refused', () => {
    const line = fc
      .tuple(
        fc.constantFrom(...KEYWORDS),
        fc.array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', maxLength: 4 })), {
          maxLength: 8,
        }),
      )
      .map(([keyword, pieces]) => `${keyword} ${pieces.join('')}\n`);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.boolean(), (lines, begins) => {
        readOrRefuse((begins ? 'FROM x\n' : '') + lines.join(''));
      }),
      { numRuns: 2000 },
    );
  });

  test('of noise is read or refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => readOrRefuse(text)),
      { numRuns: 1000 },
    );
  });

  test('with a NUL is refused', () => {
    expect(refusalOf('FROM x\nRUN a\0b')).toBe('Containerfile:2: this is no text: it holds a NUL byte');
  });
});

describe('a value in quotes', () => {
  // What is one line of a file, and no byte that a value cannot have.
  const value = fc
    .string({ unit: 'binary', maxLength: 30 })
    .map((text) => text.replaceAll(/[\0\r\n]/gu, ' '));

  test('is what it was, in ENV and in LABEL', () => {
    fc.assert(
      fc.property(value, (text) => {
        const quoted = `"${text.replaceAll(/[\\"$]/gu, '\\$&')}"`;
        const recipe = readText(`FROM x\nENV A=${quoted} B=b\nLABEL C=c D=${quoted}\nRUN a`);
        expect(recipe).toMatchObject({
          labels: { C: 'c', D: text },
          stages: [{ steps: [{ env: { A: text, B: 'b' } }] }],
        });
      }),
      { numRuns: 1000 },
    );
  });

  test('is what it was, in the array of a RUN', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 4 }), (argv) => {
        expect(readText(`FROM x\nRUN ${JSON.stringify(argv)}`).stages[0]?.steps).toMatchObject([{ argv }]);
      }),
    );
  });

  test('is what it was, in a here-document', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 5 }), (lines) => {
        const content = lines.map((line) => `${line}\n`).join('');
        fc.pre(!lines.includes('E O F'));
        const text = `FROM x\nCOPY <<"E${'\u00a0'}F" /a\n${content}E${'\u00a0'}F\nRUN z`;
        expect(readText(text).stages[0]?.steps).toMatchObject([{ files: [{ content }] }, { kind: 'run' }]);
      }),
    );
  });
});

describe('a file as large as one may be', () => {
  const SIZE = 1_048_576;
  const fill = (piece: string): string => piece.repeat(Math.floor(SIZE / piece.length));

  test.each([
    ['comments', fill('# x\n')],
    ['empty lines', fill('\n')],
    ['instructions', `FROM x\n${fill('RUN x\n')}`],
    ['stages', fill('FROM x AS a\n')],
    [
      'variables and commands',
      `FROM x\n${Array.from({ length: 40_000 }, (_, i) => `ENV a${i}=${i}\nRUN x\n`).join('')}`,
    ],
    ['one continued line', `FROM x\nRUN ${fill('a \\\n')}`],
    ['backslashes', `FROM x\nRUN ${fill('\\')}`],
    ['backslashes and spaces', `FROM x\nRUN ${fill('\\ ')}x`],
    ['spaces', `FROM x\nRUN a${fill(' ')}\nENV a${fill(' ')}b\n`],
    ['spaces in a directive', `#escape${fill(' ')}=${fill(' ')}x\n`],
    ['flags', `FROM x\nRUN ${fill('--mount=x ')}`],
    ['references', `FROM x\nRUN ${Array.from({ length: 50_000 }, (_, i) => `--mount=from=${i} `).join('')}x`],
    ['fields of a mount', `FROM x\nRUN --mount=${fill('a,')} x`],
    ['quotes in a mount', `FROM x\nRUN --mount='${fill('"",')}' x`],
    ['here-documents', `FROM x\nRUN ${fill('<<a ')}\n`],
    ['here-documents that do not end', `FROM x\n${fill('RUN <<a\n')}`],
    ['quotes', `FROM x\nENV a=${fill('"')}`],
    ['pairs', `FROM x\nENV ${fill('a=b ')}`],
    ['labels', `FROM x\nLABEL ${Array.from({ length: 90_000 }, (_, i) => `l${i}=`).join(' ')}`],
    ['brackets', `FROM x\nRUN ${fill('[')}`],
    ['substitutions', `FROM x\nENV a=${fill('${a:-')}`],
    ['sources', `FROM x\nCOPY ${fill('a ')} b/`],
    ['modes', `FROM x\nCOPY --chmod=${fill('u+')}! a b`],
    ['dots', `FROM x\nCOPY ${fill('../')} b\nWORKDIR ${fill('a/../')}`],
    ['doubling', `FROM x\nENV a=aaaaaaaaaa\n${'ENV a=$a$a\n'.repeat(900)}RUN x`],
    ['patterns', `FROM x\nENV a=${'a'.repeat(60_000)}\n${`ENV b=\${a%%${'?'.repeat(900)}b}\n`.repeat(200)}`],
  ])('and full of %s is read or refused soon', (_, text) => {
    const started = performance.now();
    readOrRefuse(text);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
