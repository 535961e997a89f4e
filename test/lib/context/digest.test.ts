import {
  chmodSync,
  chownSync,
  lutimesSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect } from 'vitest';
import { fsPath } from '../../../src/lib/system/file-name.ts';
import { errorOf, type Ground, test } from './ground.ts';

async function digest(ground: Ground, sources = ['.'], owner = '0:0'): Promise<string> {
  const selection = await ground.open().resolve(sources, { owner });
  return (await selection.digest()).sha256;
}

function fill(ground: Ground): void {
  ground.write({ 'a/file': 'content', 'a/other': 'content', 'b/empty/': '', 'caf\udce9': 'x' });
  symlinkSync('file', ground.at('a/link'));
}

describe('the digest of a context', () => {
  test.for<[what: string, change: (ground: Ground) => void]>([
    ['a byte', ({ write }) => write({ 'a/file': 'Content' })],
    ['a mode', ({ at }) => chmodSync(at('a/file'), 0o755)],
    ['a setuid bit', ({ at }) => chmodSync(at('a/file'), 0o4644)],
    ['the mode of a directory', ({ at }) => chmodSync(at('b'), 0o700)],
    ['a name', ({ at }) => renameSync(at('a/file'), at('a/File'))],
    ['a name that is no UTF-8', ({ at }) => renameSync(fsPath(at('caf\udce9')), fsPath(at('caf\udce8')))],
    ['a directory', ({ at }) => renameSync(at('a/file'), at('b/file'))],
    ['a new file', ({ write }) => write({ 'a/new': '' })],
    ['a new empty directory', ({ write }) => write({ 'c/': '' })],
    ['a file less', ({ at }) => rmSync(at('a/other'))],
    [
      'what a link says',
      ({ at }) => {
        rmSync(at('a/link'));
        symlinkSync('other', at('a/link'));
      },
    ],
    [
      'a link that becomes the file it led to',
      ({ at, write }) => {
        rmSync(at('a/link'));
        write({ 'a/link': 'content' });
      },
    ],
  ])('changes with %s', async ([, change], { ground }) => {
    fill(ground);
    const before = await digest(ground);
    expect(await digest(ground)).toBe(before);
    change(ground);
    expect(await digest(ground)).not.toBe(before);
  });

  test.for<[what: string, change: (ground: Ground) => void]>([
    ['times', ({ at }) => utimesSync(at('a/file'), 1, 1)],
    ['times of a directory', ({ at }) => utimesSync(at('b'), 1, 1)],
    ['times of a link', ({ at }) => lutimesSync(at('a/link'), 1, 1)],
    ['the owner on this machine', ({ at }) => process.geteuid?.() === 0 && chownSync(at('a/file'), 12, 34)],
    ['what is left out', ({ write }) => write({ 'x.log': 'content', 'a/y.log': '' })],
  ])('does not change with %s', async ([, change], { ground }) => {
    fill(ground);
    ground.write({ '.dockerignore': '**/*.log' });
    const before = await digest(ground);
    change(ground);
    expect(await digest(ground)).toBe(before);
  });

  test('is that of its content alone, wherever it is', async ({ ground }) => {
    ground.write({ 'here/x': '1', 'here/y/z': '2', 'there/x': '1', 'there/y/z': '2' });
    expect(await digest(ground, ['here'])).toBe(await digest(ground, ['there']));
  });

  test('changes with the owner that it will have', async ({ ground }) => {
    fill(ground);
    expect(await digest(ground, ['a'], '1:1')).not.toBe(await digest(ground, ['a']));
  });

  test('tells sources from each other, and their order', async ({ ground }) => {
    ground.write({ x: '1', y: '2', 'd/x': '1', 'd/y': '2' });
    const all = [['x', 'y'], ['y', 'x'], ['d'], ['d/x', 'd/y'], ['x']];
    const digests = await Promise.all(all.map((sources) => digest(ground, sources)));
    expect(new Set(digests).size).toBe(4);
    expect(digests[0]).toBe(digests[3]);
  });

  test('is what it was when the format was fixed', async ({ ground }) => {
    ground.write({ 'd/file': 'content\n' });
    chmodSync(ground.at('d'), 0o755);
    chmodSync(ground.at('d/file'), 0o644);
    symlinkSync('file', ground.at('d/link'));
    expect(await digest(ground, ['d'])).toMatchInlineSnapshot(
      `"a933a7dcea1ec0858f187bebb952a2f19aec07f29f41c5471c105371cfc3b761"`,
    );
  });
});

describe('a file that is not what it was when it was found', () => {
  test.for<[what: string, change: (ground: Ground) => void]>([
    ['written to', ({ at }) => writeFileSync(at('a/file'), 'Content')],
    ['gone', ({ at }) => rmSync(at('a/file'))],
    ['another one', ({ at }) => renameSync(at('a/other'), at('a/file'))],
    [
      'a link',
      ({ at }) => {
        rmSync(at('a/file'));
        symlinkSync('other', at('a/file'));
      },
    ],
  ])('because it is %s, is told by its name', async ([, change], { ground }) => {
    fill(ground);
    const selection = await ground.open().resolve(['.']);
    change(ground);
    expect(await errorOf(() => selection.digest())).toMatchObject({
      code: 'preflight_failed',
      message: `build context: ${ground.at('a/file')} changed while it was being read`,
    });
  });
});

describe('what an ordinary user may not read', () => {
  test('is told by its name', async ({ ground }) => {
    ground.write({ 'dir/x': '', 'locked/x': '', 'shut/x': '' });
    chmodSync(ground.at('dir/x'), 0);
    chmodSync(ground.at('locked'), 0o311);
    chmodSync(ground.at('shut'), 0o644);
    await ground.asUser(async () => {
      const selection = await ground.open().resolve(['dir']);
      expect(await errorOf(() => selection.digest())).toMatchObject({
        code: 'preflight_failed',
        message: `build context: ${ground.at('dir/x')} cannot be read by this user`,
      });
      expect(await errorOf(() => ground.select(['locked', 'shut', 'locked/*']))).toMatchObject({
        message: expect.stringMatching(
          /3 problems(?:\n.*(?:locked|shut\/x) cannot be read by this user){3}$/u,
        ),
      });
      expect(await errorOf(() => ground.select(['locked/y']))).toMatchObject({
        message: expect.stringContaining("'locked/y' is not in the build context"),
      });
      expect(await ground.select(['.'], { exclude: ['locked', 'shut'] })).toEqual(['', 'dir', 'dir/x']);
    });
  });
});

test('a run that is cancelled while files are read ends soon', async ({ ground }) => {
  for (let n = 0; n < 100; n += 1) ground.write({ [`file${n}`]: 'x'.repeat(4 * 1024 * 1024) });
  const cancelling = new AbortController();
  const reason = new Error('cancelled');
  const selection = await ground.open({ signal: cancelling.signal }).resolve(['.']);
  setTimeout(() => cancelling.abort(reason), 10);
  expect(await errorOf(() => selection.digest())).toBe(reason);
});
