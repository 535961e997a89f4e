import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { digestFile } from '../../../src/lib/system/file-digest.ts';

const directory = mkdtempSync(join(tmpdir(), 'banger-digest-'));
const at = (name: string): string => join(directory, name);
afterAll(() => rmSync(directory, { recursive: true }));

const unchanged = { isExpected: () => true, rest: () => null };

test.each([0, 1, 1024 * 1024 - 1, 1024 * 1024, 3 * 1024 * 1024 + 1])('of %i bytes', async (size) => {
  const content = Buffer.alloc(size, 'ab');
  writeFileSync(at('file'), content);
  const sha256 = createHash('sha256').update(content).digest('hex');
  expect(await digestFile(at('file'), unchanged)).toBe(sha256);
});

test('is none of a file that is another one than expected, before or after', async () => {
  writeFileSync(at('file'), 'content');
  expect(await digestFile(at('file'), { ...unchanged, isExpected: () => false })).toBeNull();
  let asked = 0;
  const isExpected = (): boolean => {
    asked += 1;
    return asked === 1;
  };
  expect(await digestFile(at('file'), { ...unchanged, isExpected })).toBeNull();
});

test('is none of a file that grows as it is read', { timeout: 10_000 }, async () => {
  writeFileSync(at('file'), 'content');
  const rest = (): null => {
    appendFileSync(at('file'), 'more');
    return null;
  };
  expect(await digestFile(at('file'), { ...unchanged, rest })).toBeNull();
});

test('does not wait for what is no regular file, and follows no link', { timeout: 10_000 }, async () => {
  execFileSync('mkfifo', [at('fifo')]);
  symlinkSync('file', at('link'));
  expect(await digestFile(at('fifo'), unchanged)).toBeNull();
  expect(await digestFile(directory, unchanged)).toBeNull();
  await expect(digestFile(at('link'), unchanged)).rejects.toMatchObject({ code: 'ELOOP' });
});
