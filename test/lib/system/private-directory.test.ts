import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makePrivateDirectory } from '../../../src/lib/system/private-directory.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'banger-private-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

test('makes what is missing, mode 0700, and leaves what is there', () => {
  const path = join(scratch, 'a', 'b', 'c');
  makePrivateDirectory(path);
  makePrivateDirectory(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(statSync(join(scratch, 'a')).mode & 0o777).toBe(0o700);
});

test('ends with a fault where nothing can be made', () => {
  writeFileSync(join(scratch, 'file'), '');
  expect(() => makePrivateDirectory('/proc/banger/state')).toThrow(/cannot be made/u);
  expect(() => makePrivateDirectory(join(scratch, 'file'))).toThrow(/cannot be made/u);
  expect(() => makePrivateDirectory(join(scratch, 'file', 'below'))).toThrow(/cannot be made/u);
});
