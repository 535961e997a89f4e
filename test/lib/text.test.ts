import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAge, formatBytes, formatDuration, oneLine, stripControl } from '../../src/lib/text.ts';

/** What may steer a terminal (ECMA-48) or reorder a line (UAX #9, table of explicit formatting characters). */
const DANGEROUS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** Mostly harmless characters with as many dangerous ones between them as a hostile guest would print. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '\u001b[31m',
        '\u001b]0;title\u0007',
        '\u001b]8;;x\u001b\\',
        '\u001b',
        '\u009b2J',
        '\r\n',
      ),
      fc.constantFrom(
        '\u202e',
        '\u2066',
        '\u061c',
        '\u200f',
        '\u0085',
        '\u2028',
        '\u001bP',
        '[',
        ']',
        '\\',
        'a',
      ),
    ),
  )
  .map((parts) => parts.join(''));

describe('stripControl', () => {
  test('leaves nothing that steers a terminal, whatever it is given', () => {
    fc.assert(
      fc.property(hostile, (text) => !DANGEROUS.test(stripControl(text))),
      { numRuns: 2000 },
    );
  });

  test('is done after one pass', () => {
    fc.assert(fc.property(hostile, (text) => stripControl(stripControl(text)) === stripControl(text)));
  });

  test('keeps what is plain text', () => {
    const plain = fc.string({ unit: fc.constantFrom(...'aZ09 äß€漢😀\n\t[]();{}\\') });
    fc.assert(fc.property(plain, (text) => stripControl(text) === text));
  });

  test.each([
    ['a colour', '\u001b[1;31mred\u001b[0m', 'red'],
    ['a title', 'a\u001b]0;evil\u0007b', 'ab'],
    ['a link', '\u001b]8;;http://x\u001b\\text\u001b]8;;\u001b\\', 'text'],
    ['a device control string', 'a\u001bP1$tq\u001b\\b', 'ab'],
    ['a title without an end, which hides no more than its line', 'a\u001b]0;evil\nerror: b', 'a\nerror: b'],
    ['a lone escape', 'a\u001b', 'a'],
    ['an overwritten line', 'safe\rrm', 'saferm'],
  ])('takes away %s', (_, text, stripped) => {
    expect(stripControl(text)).toBe(stripped);
  });

  test('takes time in proportion to its input', () => {
    const started = performance.now();
    for (const piece of ['\u001b]', '\u001b[', '\u001bP', '\u001b[0;', '\u001b]a\n']) {
      stripControl(piece.repeat(200_000));
    }
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe('oneLine', () => {
  test('is one line and safe', () => {
    fc.assert(
      fc.property(
        hostile,
        (text) => !/[\n\t\u2028\u2029]/u.test(oneLine(text)) && !DANGEROUS.test(oneLine(text)),
      ),
    );
  });

  test('keeps words apart', () => {
    expect(oneLine('a\r\nb\tc\vd\u0085e\u2028f')).toBe('a b c d e f');
  });
});

describe('formatBytes', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [102_348, '99.9 KiB'],
    [102_399, '100 KiB'],
    [1_288_490_189, '1.2 GiB'],
    [16 * 1024 ** 4, '16 TiB'],
    [2 ** 60, '1024 PiB'],
  ])('%d is %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  test('has at most four digits, whatever the size', () => {
    const sizes = fc.oneof(
      fc.nat(),
      fc.maxSafeNat(),
      fc.nat(50).map((power) => 2 ** power - 1),
    );
    fc.assert(
      fc.property(sizes, (bytes) => /^(?:\d{1,2}\.\d|\d{1,3}|10[01]\d|102[0-3]) /u.test(formatBytes(bytes))),
    );
  });
});

describe('formatAge', () => {
  const now = Date.parse('2026-01-02T03:04:05.000Z');
  test.each([
    [0, 'just now'],
    [59, 'just now'],
    [60, '1 minute ago'],
    [3599, '59 minutes ago'],
    [3600, '1 hour ago'],
    [86_400, '1 day ago'],
    [7 * 86_400, '1 week ago'],
    [65 * 86_400, '2 months ago'],
    [800 * 86_400, '2 years ago'],
    [-3600, 'just now'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(formatAge(new Date(now - seconds * 1000).toISOString(), now)).toBe(text);
  });
});

describe('formatDuration', () => {
  test.each([
    [0, '0.0s'],
    [440, '0.4s'],
    [9949, '9.9s'],
    [9950, '10s'],
    [59_499, '59s'],
    [59_500, '1m00s'],
    [184_000, '3m04s'],
    [3_599_500, '1h00m'],
    [7_500_000, '2h05m'],
    // A clock that was set back.
    [-5000, '0.0s'],
  ])('%d ms are %s', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });
});
