import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BangerError } from '../../../src/lib/errors.ts';
import { newId } from '../../../src/lib/id.ts';
import { assertValidName } from '../../../src/lib/image/name.ts';

function verdict(name: string): BangerError | 'valid' {
  try {
    assertValidName(name);
    return 'valid';
  } catch (error) {
    if (error instanceof BangerError) return error;
    throw error;
  }
}

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz0123456789'];
const OTHERS = [...LETTERS, '.', '_', '-'];

describe('a name', () => {
  test.each(['a', '0', 'debian-12', 'a..b', 'a-', '9._-', 'a'.repeat(63), 'f'.repeat(31), 'f'.repeat(33)])(
    '%j is valid',
    (name) => {
      expect(verdict(name)).toBe('valid');
    },
  );

  test.each([
    ...[
      '',
      ' ',
      'a b',
      'a\nb',
      'a\n',
      '\na',
      'a\tb',
      'a\0b',
      '\u001b[31mred',
      'Ä',
      'ａ',
      'A',
      'Debian',
      'a'.repeat(64),
    ],
    ...[
      '.',
      '..',
      '.a',
      '_a',
      '-a',
      '--',
      'a/b',
      '/',
      '../a',
      'a\\b',
      'a:b',
      'a*',
      'a%',
      'a\u202eb',
      'a\u200bb',
      '👍',
    ],
    ...['x'.repeat(100_000), newId(), '0'.repeat(32)],
  ])('%j is not', (name) => {
    const error = verdict(name);
    expect(error).toMatchObject({ code: 'usage', exitCode: 2 });
    expect(error).toHaveProperty(
      'message',
      expect.not.stringMatching(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/u),
    );
    if (error !== 'valid') expect(error.message.length).toBeLessThan(200);
  });

  test('is valid when it is made of what is allowed, and of nothing else', () => {
    const valid = fc
      .tuple(fc.constantFrom(...LETTERS), fc.array(fc.constantFrom(...OTHERS), { maxLength: 62 }))
      .map(([first, rest]) => first + rest.join(''))
      .filter((name) => !/^[0-9a-f]{32}$/u.test(name));
    fc.assert(fc.property(valid, (name) => verdict(name) === 'valid'));
    const insertBad = fc
      .tuple(valid, fc.nat(), fc.string({ unit: 'binary', minLength: 1 }))
      .filter(([, , bad]) => !/^[a-z0-9._-]*$/u.test(bad))
      .map(([name, at, bad]) => name.slice(0, at % name.length) + bad + name.slice(at % name.length));
    fc.assert(fc.property(insertBad, (name) => verdict(name) !== 'valid'));
  });
});
