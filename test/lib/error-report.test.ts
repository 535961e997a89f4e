import { describe, expect, test, vi } from 'vitest';
import { errorDocument, errorText, toBangerError } from '../../src/lib/error-report.ts';
import { BangerError, CancelledError, EXIT_CODES, FaultList, PreflightError } from '../../src/lib/errors.ts';
import { formatJson } from '../../src/lib/text.ts';

const PLAIN = { isTTY: false };

describe('an error', () => {
  test('of a signal exits with 128 and its number', () => {
    const statuses = (['SIGHUP', 'SIGINT', 'SIGTERM'] as const).map(
      (signal) => new CancelledError(signal).exitCode,
    );
    expect(statuses).toEqual([129, 130, 143]);
  });

  test('exits as its code says', () => {
    for (const [code, status] of Object.entries(EXIT_CODES)) {
      expect(new BangerError(code as keyof typeof EXIT_CODES, 'x').exitCode).toBe(status);
    }
  });

  test('can be told more, and stays the same one', () => {
    const error = new BangerError('corrupt', 'x', { hints: ['a'], details: { one: 1 } });
    expect(error.annotate({ hints: ['b'], details: { two: 2 } })).toBe(error);
    expect(error).toMatchObject({ hints: ['a', 'b'], details: { one: 1, two: 2 } });
  });

  test('that is ours comes through as it is, and any other is a bug', () => {
    const ours = new BangerError('busy', 'x');
    expect(toBangerError(ours)).toBe(ours);
    for (const thrown of [new TypeError('no function'), 'a string', null, { code: 7 }]) {
      expect(toBangerError(thrown)).toMatchObject({ code: 'internal', exitCode: 1, cause: thrown });
    }
  });

  test('of the system that libuv has no name for is known all the same', () => {
    const unknown = (number: number): Error =>
      Object.assign(
        new Error(`Unknown system error -${number}: Unknown system error -${number}, open '/state/x'`),
        { code: `Unknown system error -${number}`, errno: -number },
      );
    // Linux' own numbers (errno.h).
    const [quota, unclean] = [toBangerError(unknown(122)), toBangerError(unknown(117))];
    expect(quota).toMatchObject({
      code: 'preflight_failed',
      message: "EDQUOT: disk quota exceeded, open '/state/x'",
    });
    expect(unclean).toMatchObject({ code: 'tool_failed', exitCode: 9 });
    expect(unclean.message).toContain("EUCLEAN: structure needs cleaning, open '/state/x'");
    expect(toBangerError(unknown(300)).message).toContain('Unknown system error -300: Unknown');
  });
});

describe('faults', () => {
  test('are reported together, or not at all', () => {
    const faults = new FaultList();
    faults.throwIfAny('image');
    faults.add('no kernel', '--kernel FILE');
    expect(() => faults.throwIfAny('image')).toThrow('image: no kernel');
    faults.add('no rootfs', '--rootfs FILE');
    expect(() => faults.throwIfAny('image')).toThrow(/image: 2 problems\n {2}- no kernel\n {2}- no rootfs/u);
  });

  test('are shown each with what mends it, and then what else there is to do', () => {
    const error = new PreflightError('build', [
      { message: 'no kernel', mend: '--kernel FILE' },
      { message: 'no space', mend: 'make room' },
    ]).annotate({ hints: ['less /log'] });
    expect(errorText(error, PLAIN)).toBe(
      'error: build: 2 problems\n  - no kernel\n    → --kernel FILE\n  - no space\n    → make room\n  → less /log\n',
    );
  });
});

describe('a report', () => {
  const hostile = new BangerError('tool_failed', 'mke2fs: \u001b[2J\u202eevil', {
    hints: ['a\nb\u009b31m'],
    details: { name: '\u001b]0;x\u0007' },
  });

  test('for people has no control characters', () => {
    expect(errorText(hostile, PLAIN)).toBe('error: mke2fs: evil\n  → a b31m\n');
  });

  test('for machines has none either, and is the same to a parser', () => {
    const document = formatJson(errorDocument(hostile));
    expect(document).not.toMatch(/[\u001b\u009b\u202e]/u);
    expect(JSON.parse(document)).toMatchObject({
      error: { code: 'tool_failed', exit_code: 9, message: 'mke2fs: evil', name: '\u001b]0;x\u0007' },
    });
  });

  test('is coloured on a terminal, unless NO_COLOR is set', () => {
    vi.stubEnv('NO_COLOR', '');
    expect(errorText(hostile, { isTTY: true })).toContain('\u001b[31merror:');
    vi.stubEnv('NO_COLOR', '1');
    expect(errorText(hostile, { isTTY: true })).not.toContain('\u001b');
    vi.unstubAllEnvs();
  });
});
