import { describe, expect, test } from 'vitest';
import { errorDocument, errorText } from '../../../src/lib/error-report.ts';
import { BangerError } from '../../../src/lib/errors.ts';
import { RecipeFaults } from '../../../src/lib/recipe/faults.ts';
import { readRecipe } from '../../../src/lib/recipe/read.ts';
import { readText, refusalOf } from './read-text.ts';

function refusal(path: string, text: string): BangerError {
  try {
    readRecipe({ path, text });
  } catch (error) {
    if (error instanceof BangerError) return error;
  }
  throw new Error('it was not refused');
}

describe('a mistake', () => {
  test.each([
    ['RUM x', "there is no instruction 'RUM'\ndid you mean RUN", 2],
    ['COYP a b', "there is no instruction 'COYP'\ndid you mean COPY?", 2],
    ['Entrypiont a', "there is no instruction 'Entrypiont'\ndid you mean ENTRYPOINT?", 2],
    ['constructor a', "there is no instruction 'constructor'", 2],
    ['__proto__', "there is no instruction '__proto__'", 2],
    ['RUN --constructor=1 a', "RUN has no flag '--constructor'", 2],
    ['RUN a && \\\n  b\n\n  c', "there is no instruction 'c'", 5],
    ['RUN a\n  && bc', "there is no instruction '&&'\na line that goes on in the next one ends with \\", 3],
    ['"RUN" a', `there is no instruction '"RUN"'`, 2],
  ])('as %j is told with its line', (text, why, line) => {
    expect(refusalOf(`FROM x\n${text}`)).toContain(`Containerfile:${line}: ${why}`);
  });

  test('in the flags of a FROM leaves it a FROM', () => {
    expect(refusalOf('FROM --plat=x y AS a\nRUN x\nFROM a')).toMatch(
      /^Containerfile:1: FROM has no flag '--plat'/u,
    );
  });

  test('is told with all others, in the order of their lines', () => {
    const error = refusal(
      'a/Containerfile',
      '#escape=x\nRUM a\nCOPY b\nFROM y z\nFROM later\nUSER\nFROM q AS later\nCOPY --from=7 a b',
    );
    expect(errorText(error, { isTTY: false })).toBe(`error: a/Containerfile: 6 mistakes
  - line 1: the escape character cannot be 'x'
  - line 2: there is no instruction 'RUM'
  - line 3: COPY stands before the first FROM
  - line 4: FROM 'y z' is neither an image nor an image AS a name
  - line 5: stage 'later' begins in line 7, not before this one
  - line 8: there is no stage 7 before this one
  → line 1: use \\ or \`
  → line 2: did you mean RUN or FROM?
  → line 3: begin with FROM and the name of an image, or FROM scratch
  → line 4: write FROM IMAGE AS NAME
  → line 5: put it further up
`);
  });

  test('is in the JSON document by its line', () => {
    const error = refusal('Containerfile', 'FROM x\nRUM a\nUSER');
    expect(errorDocument(error)).toEqual({
      error: {
        code: 'usage',
        exit_code: 2,
        message:
          "Containerfile: 2 mistakes\n  - line 2: there is no instruction 'RUM'\n  - line 3: USER names nobody",
        hints: ['line 2: did you mean RUN or FROM?', 'line 3: write USER NAME'],
        file: 'Containerfile',
        faults: [
          { line: 2, message: "there is no instruction 'RUM'" },
          { line: 3, message: 'USER names nobody' },
        ],
      },
    });
  });

  test('brings no control character to a terminal, wherever it stands', () => {
    const evil = '\u001b]0;title\u0007\u001b[2Jx\u202ey';
    const lines = [
      'RUM',
      `${evil} a`,
      `RUN --${evil} a`,
      `COPY --chown=${evil}: a b`,
      `ENV A ${evil}=\nENV ${evil}`,
      `COPY --from=${evil} a b`,
      `FROM x AS ${evil}`,
      `RUN --mount=type=${evil} a`,
      `ADD http://${evil} b`,
      `COPY <<${evil} a`,
    ];
    for (const line of lines) {
      const error = refusal(`dir/${evil}`, `FROM x\n${line}`);
      expect([error.message, ...error.hints].join('')).not.toMatch(
        /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/u,
      );
    }
  });

  test('is nothing else that goes wrong', () => {
    const faults = new RecipeFaults('Containerfile');
    for (const error of [new TypeError('a bug'), new BangerError('internal', 'a bug')]) {
      expect(() =>
        faults.guard(1, () => {
          throw error;
        }),
      ).toThrow(error);
    }
    expect(() => faults.throwIfAny()).not.toThrow();
  });

  test('is repeated up to its eightieth character', () => {
    expect(refusalOf(`FROM x\n${'y'.repeat(80)}`)).toContain(`'${'y'.repeat(80)}'`);
    expect(refusalOf(`FROM x\n${'y'.repeat(81)}`)).toContain(`'${'y'.repeat(79)}…'`);
  });

  test('is one instruction too many, and no more of them are read', () => {
    expect(refusalOf(`FROM x\n${'RUN x\n'.repeat(1023)}NO a`)).toMatch(
      /^Containerfile:1025: a recipe may have 1024/u,
    );
    expect(readText(`FROM x\n${'RUN x\n'.repeat(1023)}`).stages[0]?.steps).toHaveLength(1023);
  });

  test('is one of many that are told', () => {
    const error = refusal('Containerfile', `FROM x\n${'NO a\n'.repeat(500)}`);
    expect(error.message.split('\n')).toHaveLength(22);
    expect(error.message).toMatch(/^Containerfile: 500 mistakes\n[\s\S]*\n {2}- and 480 more$/u);
  });
});

describe('instructions that mean nothing to a machine', () => {
  test('have one note each, whatever they say', () => {
    const { notes, stages } = readText(
      'FROM x\nCMD ["a"\nCMD --what\nEXPOSE\nHEALTHCHECK --interval=x NONE\nOnBuild RUM a\nONBUILD',
    );
    expect(notes.map((note) => note.split(' has ')[0])).toEqual([
      'CMD in line 2',
      'EXPOSE in line 4',
      'HEALTHCHECK in line 5',
      'ONBUILD in line 6',
    ]);
    expect(stages[0]?.steps).toEqual([]);
  });
});
