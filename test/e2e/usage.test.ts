import { expect, inject } from 'vitest';
import { test } from '../support/fixtures.ts';

test.for([
  [['imgae'], "there is no command 'imgae'", ['did you mean: banger image', 'banger --help']],
  [
    ['image', 'regster'],
    "there is no command 'image regster'",
    ['did you mean: banger image register', 'banger image --help'],
  ],
  [['frobnicate'], "there is no command 'frobnicate'", ['banger --help']],
  [
    ['image', 'register', 'a', '--rotfs', 'x'],
    'nonexistent flag: --rotfs',
    ['did you mean --rootfs?', 'banger image register --help'],
  ],
  [['image', 'register', 'a'], 'missing required --kernel, --rootfs', ['banger image register --help']],
  [['image', 'register', 'a', '--rootfs'], 'flag --rootfs expects a value', ['banger image register --help']],
  [['image', 'rename', 'a'], 'missing argument NAME', ['banger image rename --help']],
  [['image', 'show', 'a', 'b'], 'unexpected argument: b', ['banger image show --help']],
  [
    ['image', 'rename', 'a', 'b', '--lock-timeout', 'soon'],
    '--lock-timeout: expected an integer but received: soon',
    ['banger image rename --help'],
  ],
  [
    ['operation', 'list', '--limit', '0'],
    '--limit: expected an integer greater than or equal to 1 but received: 0',
    ['banger operation list --help'],
  ],
  [['image', 'show', '--\u001b[2J'], 'nonexistent flag: --', ['banger image show --help']],
] as [string[], string, string[]][])(
  '%j is answered with what is wrong and what to do',
  async ([args, said, hints], { makeHome }) => {
    const home = await makeHome(inject('testRun').user);
    expect(await home.fails(2, args)).toBe(
      `error: ${said}\n${hints.map((hint) => `  → ${hint}\n`).join('')}`,
    );
  },
);

test('no argument is taken from standard input, which may be a list that a loop reads', async ({
  makeHome,
}) => {
  const home = await makeHome(inject('testRun').user);
  const input = { input: 'a\nb\n' };
  expect(await home.fails(2, ['image', 'rename', 'a'], input)).toContain('missing argument NAME');
  expect(await home.fails(3, ['vm', 'ssh', 'a'], input)).toContain("no VM 'a'");
});
