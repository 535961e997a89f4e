import { describe, expect, test } from 'vitest';
import { parseDuration } from '../../../src/lib/image/duration.ts';

describe('parseDuration', () => {
  test.for([
    ['0s', 0],
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['4w', 2_419_200_000],
  ] as const)('%s', ([text, milliseconds]) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  test.for(['', '5', '-1s', '1.5h', '1 h', '1y', 'h', '999999999w', '１s'])("'%s' is none", (text) => {
    expect(() => parseDuration(text)).toThrow(expect.objectContaining({ exitCode: 2 }));
  });
});
