import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { changeMode } from '../../../src/lib/image/chmod.ts';
import { run } from '../../../src/lib/system/process.ts';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'banger-chmod-'));
  writeFileSync(join(directory, 'file'), '');
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('a mode that is changed', () => {
  test.each([
    ['755', 0o644, 0o755],
    ['04750', 0o644, 0o4750],
    ['0', 0o6777, 0],
  ])('by %s', (spec, mode, expected) => {
    expect(changeMode(spec, mode, false)).toBe(expected);
  });

  // By the host's own chmod(1).
  test.each([
    'u=rwX,go=rX',
    'u+x',
    'a+X',
    '+w',
    '-r',
    '=r',
    'go-rwx',
    'u=g',
    'g=u-w',
    'o=',
    'ug+s',
    'u-s,o+t',
    '+t',
    'a=rwxst',
    'u+rw-x+s',
    'g+u',
    '=',
  ])('by %s as chmod does it', async (spec) => {
    const file = join(directory, 'file');
    for (const mode of ['644', '755', '4751', '2070', '1777', '000', '7707']) {
      await run('sh', ['-c', 'umask 022; chmod "$1" "$3"; chmod -- "$2" "$3"', 'sh', mode, spec, file], {
        // It says so when the umask kept it from something.
        okExit: [0, 1],
      });
      const expected = statSync(file).mode & 0o7777;
      const changed = changeMode(spec, Number.parseInt(mode, 8), false);
      expect(`${mode} ${changed.toString(8)}`).toBe(`${mode} ${expected.toString(8)}`);
    }
  });

  test('is a directory’s, too', () => {
    expect(changeMode('a+X', 0o600, true)).toBe(0o711);
    expect(changeMode('u=rwx', 0o6700, true)).toBe(0o6700);
  });
});
