import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BuildLog, logged } from '../../src/lib/build-log.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'banger-log-'));
});
afterEach(() => rm(directory, { recursive: true }));

function open(path: string): BuildLog {
  const log = new BuildLog(path);
  log.open();
  return log;
}

test('is appended to, line by line, with the time and without what steers a terminal', async () => {
  const path = join(directory, 'log');
  for (const text of ['first', '\u001b[31mred\u001b[0m \u202eevil']) {
    const log = open(path);
    log.write(text);
    // Before it is closed: a run that is killed leaves what it knew.
    expect(await readFile(path, 'utf8')).toContain(text === 'first' ? 'first' : 'red evil');
    expect(log.failure).toBeNull();
    log.close();
  }
  expect(await readFile(path, 'utf8')).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} first\n\d\d:\d\d:\d\d\.\d{3} red evil\n$/u,
  );
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('that cannot be written goes on, and tells of the first failure once, at the end', async () => {
  const told: string[] = [];
  const log = open('/dev/full');
  const work = async (): Promise<string> => {
    log.write('first');
    log.write('second');
    expect(told).toEqual([]);
    return 'done';
  };
  expect(await logged({ notify: (message) => told.push(message) }, log, work)).toBe('done');
  expect(told).toEqual([expect.stringMatching(/^the log \/dev\/full is not whole: ENOSPC/u)]);
});

test('ends with the error of what wrote to it, which comes out as it is', async () => {
  const path = join(directory, 'log');
  const log = open(path);
  const thrown = new Error('no luck');
  await expect(logged({ notify: expect.unreachable }, log, () => Promise.reject(thrown))).rejects.toBe(
    thrown,
  );
  expect(await readFile(path, 'utf8')).toMatch(/ failed: no luck\n$/u);
});

test('where none can be made is exit 6', () => {
  expect(() => open(join(directory, 'missing/log'))).toThrow(expect.objectContaining({ exitCode: 6 }));
});
