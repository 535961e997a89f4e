import { expect, test } from 'vitest';
import { storeError } from '../../../src/lib/store/errors.ts';

function sqliteError(code: string): Error {
  return Object.assign(new Error('what SQLite says'), { code });
}

test.for([
  // A lock that its owner could not let go of: reads fail with it after ten seconds (rescode, SQLITE_PROTOCOL).
  ['SQLITE_PROTOCOL', 'busy', 7],
  ['SQLITE_BUSY_SNAPSHOT', 'busy', 7],
  ['SQLITE_IOERR_FSYNC', 'tool_failed', 9],
  ['SQLITE_FULL', 'preflight_failed', 6],
  ['SQLITE_CANTOPEN', 'preflight_failed', 6],
  ['SQLITE_CORRUPT_VTAB', 'corrupt', 11],
] as const)('%s is %s, exit %i', ([reported, code, exitCode]) => {
  const error = storeError(sqliteError(reported), '/state/banger.db');
  expect(error).toMatchObject({ code, exitCode });
  expect(String(error)).toContain('/state/banger.db');
});

test('what SQLite did not report is left as it is', () => {
  const error = new Error('not a code of SQLite');
  expect(storeError(error, '/state/banger.db')).toBe(error);
});
