import { describe, expect, test } from 'vitest';
import { parseBuildArguments } from '../../../src/lib/recipe/build-arguments.ts';

const env = { HOME: '/root', EMPTY: '' };

describe('values for ARG', () => {
  test.each([
    ['A=1', [['A', '1']]],
    ['A=', [['A', '']]],
    ['A=b=c\n', [['A', 'b=c\n']]],
    ['HOME', [['HOME', '/root']]],
    ['HOME=/', [['HOME', '/']]],
    ['EMPTY', [['EMPTY', '']]],
    ['UNSET', []],
    ['toString', []],
    ['__proto__=1', [['__proto__', '1']]],
  ])('of %j are %j', (word, expected) => {
    expect([...parseBuildArguments([word], env)]).toEqual(expected);
  });

  test('given twice are the later', () => {
    expect([...parseBuildArguments(['A=1', 'B=2', 'A=3'], env)]).toEqual([
      ['A', '3'],
      ['B', '2'],
    ]);
  });

  test.each(['', '=hunter2', '1A=hunter2', 'A B=hunter2', 'hunter2!', 'A\u001b[31m=hunter2'])(
    'refuse %j without repeating a value',
    (word) => {
      expect(() => parseBuildArguments([word], env)).toThrow(
        expect.objectContaining({ code: 'usage', message: expect.not.stringMatching(/hunter2|\u001b/u) }),
      );
    },
  );
});
