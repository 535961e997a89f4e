import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeStep, mergePackages, parseStep } from '../../../src/lib/image/build-step.ts';

const usage = expect.objectContaining({ code: 'usage', exitCode: 2 });

describe('a step from the command line', () => {
  it('takes a command and a script as they are typed', () => {
    expect(parseStep('run', 'printf \'%s\n\' "$A"')).toEqual({
      kind: 'run',
      command: 'printf \'%s\n\' "$A"',
    });
    expect(parseStep('run', ' ')).toEqual({ kind: 'run', command: ' ' });
    expect(parseStep('script', './-setup.sh')).toEqual({
      kind: 'script',
      path: join(process.cwd(), '-setup.sh'),
    });
  });

  it.each(['run', 'script', 'copy', 'env', 'package'] as const)('refuses an empty %s', (kind) => {
    expect(() => parseStep(kind, '')).toThrow(usage);
  });

  it.each([
    ['a:/b', { source: join(process.cwd(), 'a'), target: '/b' }],
    ['/a:b:/c', { source: '/a:b', target: '/c' }],
    ['-x:/opt/', { source: join(process.cwd(), '-x'), target: '/opt/' }],
    ['/it\'s\n"odd":/etc/new\nline', { source: '/it\'s\n"odd"', target: '/etc/new\nline' }],
    ['/a/../b/:/..c/d..', { source: '/b', target: '/..c/d..' }],
  ])('divides %j at its last colon', (text, expected) => {
    expect(parseStep('copy', text)).toEqual({ kind: 'copy', ...expected });
  });

  it.each(['a', ':', ':/b', 'a:', 'a:b', 'a:./b', '/a:/b:c', 'a:/../etc', 'a:/x/..', 'C:\\x'])(
    'refuses to copy %j',
    (text) => {
      expect(() => parseStep('copy', text)).toThrow(usage);
    },
  );

  it.each([
    ['A=', 'A', ''],
    ['_a1=b=c', '_a1', 'b=c'],
    ['LINES=one\ntwo', 'LINES', 'one\ntwo'],
    ['X==', 'X', '='],
  ])('takes %j for a variable', (text, name, value) => {
    expect(parseStep('env', text)).toEqual({ kind: 'env', name, value });
  });

  it.each([
    'secret',
    '=secret',
    '1A=secret',
    'A-B=secret',
    'A B=secret',
    'Ä=secret',
    'A\n=secret',
    'secret\n',
  ])('refuses %j for a variable without repeating its value', (text) => {
    let message = '';
    try {
      parseStep('env', text);
    } catch (error) {
      expect(error).toEqual(usage);
      message = String(error);
    }
    expect(message).toContain('NAME=VALUE');
    expect(message).not.toContain('secret');
  });

  it('leaves the value of a variable out of what is shown', () => {
    expect(describeStep({ kind: 'env', name: 'A', value: 'secret' })).toBe('env A');
  });
});

describe('packages asked for one after the other', () => {
  const packages = (...names: string[]) => ({ kind: 'packages' as const, names });
  const step = { kind: 'run' as const, command: 'true' };

  it('are installed together, up to the next other step', () => {
    const steps = [packages('a'), packages('b', 'c'), step, packages('d')];
    expect(mergePackages(steps)).toEqual([packages('a', 'b', 'c'), step, packages('d')]);
  });

  it('leave the steps that they came from as they were', () => {
    const first = packages('a');
    mergePackages([first, packages('b')]);
    expect(first.names).toEqual(['a']);
  });

  it('may be none', () => {
    expect(mergePackages([])).toEqual([]);
  });
});
