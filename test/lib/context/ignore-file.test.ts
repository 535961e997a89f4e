import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { expect } from 'vitest';
import { openContext } from '../../../src/lib/context/context.ts';
import { errorOf, test } from './ground.ts';

test('the recipe’s own goes before the context’s, which may have two names', async ({ ground }) => {
  ground.write({
    'x.dockerfile': '',
    'x.dockerfile.dockerignore': '1',
    'x.dockerfile.containerignore': '2',
    '.containerignore': '3',
    '.dockerignore': '4',
  });
  const recipePath = ground.at('x.dockerfile');
  for (const name of [
    'x.dockerfile.dockerignore',
    'x.dockerfile.containerignore',
    '.containerignore',
    '.dockerignore',
  ]) {
    expect(ground.open({ recipePath }).ignorePath).toBe(ground.at(name));
    rmSync(ground.at(name));
  }
  expect(ground.open({ recipePath }).ignorePath).toBeNull();
});

test('comments, blank lines, a byte order mark and line ends of DOS are no part of a pattern', async ({
  ground,
}) => {
  const lines = ['\ufeff# comment', '', '  ', ' #kept', 'a  ', '\tb'];
  ground.write({ '.dockerignore': lines.join('\r\n'), '#kept': '', a: '', b: '', c: '' });
  expect(await ground.select(['.'])).toEqual(['', '.dockerignore', 'c']);
});

test('a name that is no UTF-8 can be left out', async ({ ground }) => {
  ground.write({ 'caf\udce9': '', 'caf\udce8': '' });
  execFileSync('sh', ['-c', `printf 'caf\\351\\n.*' >"$0/.dockerignore"`, ground.root]);
  expect(await ground.select(['.'])).toEqual(['', 'caf\udce8']);
});

test('the recipe and the list may be left out themselves', async ({ ground }) => {
  ground.write({ Containerfile: '', '.dockerignore': 'Containerfile\n.dockerignore', a: '' });
  expect(await ground.select(['.'])).toEqual(['', 'a']);
});

test('every line that is no pattern is told', async ({ ground }) => {
  ground.write({ '.dockerignore': 'good\n!\nbad[\n# [\nalso\\' });
  const error = await errorOf(() => ground.open());
  expect(error).toMatchObject({
    code: 'preflight_failed',
    message: expect.stringMatching(/\.dockerignore: 3 problems\n.*line 2: .*\n.*line 3: .*\n.*line 5: /u),
  });
});

test.for<[what: string, make: (path: string) => void]>([
  ['a directory', (path) => mkdirSync(path)],
  ['a FIFO', (path) => execFileSync('mkfifo', [path])],
  ['a link to nothing', (path) => execFileSync('ln', ['-s', 'nothing', path])],
])('one that is %s is told, not passed over', { timeout: 5000 }, async ([, make], { ground }) => {
  make(ground.at('.dockerignore'));
  expect(await errorOf(() => ground.open())).toMatchObject({ code: 'preflight_failed' });
});

test.for<[what: string, path: string, message: RegExp]>([
  ['missing', 'missing', /missing does not exist$/u],
  ['a file', 'file', /file is not a directory$/u],
])('a context that is %s is told', async ([, path, message], { ground }) => {
  ground.write({ file: '' });
  const open = (): unknown =>
    openContext({
      directory: ground.at(path),
      cacheDir: ground.cacheDir,
      signal: new AbortController().signal,
    });
  expect(await errorOf(open)).toMatchObject({
    code: 'preflight_failed',
    message: expect.stringMatching(message),
  });
});

test('a context that may not be looked into is told', async ({ ground }) => {
  ground.write({ '.dockerignore': '' });
  chmodSync(ground.root, 0o644);
  await ground.asUser(async () => {
    expect(await errorOf(() => ground.open())).toMatchObject({
      code: 'preflight_failed',
      message: expect.stringMatching(/cannot be read by this user$/u),
    });
  });
  chmodSync(ground.root, 0o755);
});
