import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import {
  type BuiltImage,
  build,
  buildArguments,
  type Failure,
  keepNoSteps,
  makeBase,
  untilPrinted,
} from '../support/builds.ts';
import { type CliOptions, type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { readGuest } from '../support/guest-files.ts';
import { insertVm } from '../support/registry.ts';
import { startOnTerminal } from '../support/terminal.ts';
import { assertSound } from '../support/verifier.ts';
import { mountXfs } from '../support/xfs.ts';

const { user } = inject('testRun');

interface Generation extends BuiltImage {
  generation: number;
  current: boolean;
  allocated_bytes: number | null;
  own_bytes: number | null;
  duration_ms: number | null;
}

/** Builds a generation of `web` that tells which one it is. */
function buildWeb(home: Home, text: string, options: CliOptions = {}): Promise<BuiltImage> {
  return build(home, 'web', ['--replace', '--no-ssh', '--run', `echo ${text} >/which`], options);
}

async function history(home: Home): Promise<[generation: number, name: string, current: boolean][]> {
  const { document } = await home.json<Generation[]>(['image', 'history', 'web']);
  return document.map(({ generation, name, current }) => [generation, name, current]);
}

async function which(home: Home, ref: string): Promise<string> {
  const { document } = await home.json<BuiltImage>(['image', 'show', ref]);
  return (await readGuest(document.rootfs_path, '/which')).toString().trim();
}

describe.each(testAccounts())('as $label', (account) => {
  test('a build takes the name, and the image that had it is kept and can have it again', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const first = await buildWeb(home, 'one');
    const second = await buildWeb(home, 'two');
    expect(await history(home)).toEqual([
      [2, 'web', true],
      [1, 'web@1', false],
    ]);
    expect([await which(home, 'web'), await which(home, 'web@1')]).toEqual(['two', 'one']);
    expect(await home.ok(['image', 'diff', 'web@1', 'web'])).toMatch(/^ {2}~ \/which {2}content$/mu);
    expect(await home.ok(['image', 'list', '-q'])).toBe('base\nweb\n');
    expect(await home.ok(['image', 'list', '-q', '--all'])).toBe('base\nweb\nweb@1\n');

    const { document: back } = await home.json<Generation>(['image', 'rollback', 'web']);
    expect(back).toMatchObject({ id: first.id, name: 'web', generation: 1 });
    // A rollback can be rolled back, and what is built next is newer than all.
    expect(await home.ok(['image', 'rollback', 'web', '--to', '2'])).toBe(
      'web is generation 2 again, not 1\n',
    );
    expect(await which(home, 'web')).toBe('two');
    await home.ok(['image', 'rollback', 'web']);
    const third = await build(
      home,
      'web',
      ['--replace', '--no-ssh', ...['--from-image', 'web@2']].slice(0, 2),
    );
    expect(await history(home)).toEqual([
      [3, 'web', true],
      [2, 'web@2', false],
      [1, 'web@1', false],
    ]);
    expect(new Set([first.id, second.id, third.id]).size).toBe(3);
  });
});

describe('generations', () => {
  test('a build that fails, or is killed, leaves the name to the image that has it', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeBase(home);
    await buildWeb(home, 'one');
    const failing = buildArguments('web', '--replace', '--no-ssh', '--run', 'exit 3');
    expect((await home.json<Failure>(failing)).status).toBe(8);
    const killed = home.start(
      buildArguments('web', '--replace', '--no-ssh', '--run', 'echo ready; sleep 60'),
    );
    await untilPrinted(home, 'ready');
    killed.kill('SIGKILL');
    await killed.result;
    expect(await history(home)).toEqual([[1, 'web', true]]);
    await buildWeb(home, 'two');
    expect(await history(home)).toEqual([
      [2, 'web', true],
      [1, 'web@1', false],
    ]);
  });

  test('a build that replaces waits for another one of the name, or leaves with 7', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeBase(home);
    const slow = home.start(
      buildArguments('web', '--no-ssh', '--run', 'echo ready; sleep 3; echo one >/which'),
    );
    await untilPrinted(home, 'ready');
    const again = buildArguments('web', '--no-ssh', '--run', 'echo two >/which');
    const refused = await home.fails(7, [...again, '--replace', '--no-wait']);
    expect(refused).toMatch(/^error: the name web is taken by build web \(pid \d+ on /mu);
    expect(await home.fails(7, [...again, '--replace', '--wait', '1s'])).toContain(
      'is taken after 1.0s by build web',
    );
    expect(await home.fails(4, again)).toContain('the name web is taken by build web');
    const [waited, another] = await Promise.all([
      home.run([...again, '--replace']),
      home.run([...again, '--replace']),
      slow.result,
    ]);
    expect([waited.status, another.status]).toEqual([0, 0]);
    expect(waited.stderr).toMatch(/^waiting for build web \(pid/mu);
    expect((await history(home)).map(([generation]) => generation)).toEqual([3, 2, 1]);
    expect(await which(home, 'web@1')).toBe('one');
  });

  test('what cannot be rolled back to is refused', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeBase(home);
    expect(await home.fails(3, ['image', 'history', 'web'])).toContain('no image was ever named web');
    expect(await home.fails(2, ['image', 'history', 'web@1'])).toContain("'web@1' is not a valid image name");
    await buildWeb(home, 'one');
    expect(await home.fails(3, ['image', 'rollback', 'web'])).toContain('web has no earlier generation');
    expect(await home.fails(3, ['image', 'rollback', 'web', '--to', '7'])).toContain(
      'web has no generation 7',
    );
    expect(await home.fails(4, ['image', 'rollback', 'web', '--to', '1'])).toContain(
      'stands for generation 1 already',
    );
    await buildWeb(home, 'two');
    const slow = home.start(buildArguments('web', '--replace', '--no-ssh', '--run', 'echo ready; sleep 60'));
    await untilPrinted(home, 'ready');
    expect(await home.fails(4, ['image', 'rollback', 'web'])).toContain('the name web is taken by build web');
    slow.kill('SIGTERM');
    expect((await slow.result).status).toBe(143);
  });

  test('go with a name that is changed, and stay when the current one is deleted', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeBase(home);
    await buildWeb(home, 'one');
    await buildWeb(home, 'two');
    await home.ok(['image', 'rename', 'web', 'site']);
    expect(await home.ok(['image', 'list', '-q', '--all'])).toBe('base\nsite\nsite@1\n');
    await home.ok(['image', 'rename', 'site@1', 'alone']);
    expect((await home.json<Generation>(['image', 'show', 'alone'])).document.generation).toBe(1);
    await home.ok(['image', 'rename', 'site', 'web']);
    await buildWeb(home, 'three');
    const deleted = await home.run(['image', 'delete', 'web', '--yes']);
    expect(deleted.stdout).toBe('deleted web\n');
    expect(deleted.stderr).toBe('an earlier generation of web left: banger image history web\n');
    expect(await history(home)).toEqual([[2, 'web@2', false]]);
    // Nobody's generations are mixed with another's.
    expect(await home.fails(4, ['image', 'rename', 'alone', 'web'])).toContain(
      'there is 1 generation of web',
    );
    await home.ok(['image', 'rollback', 'web']);
    expect(await which(home, 'web')).toBe('two');
  });

  test('are pruned but for what is kept, protected, in use or current', async ({ makeHome }) => {
    const home = await makeHome(user);
    await keepNoSteps(home);
    await makeBase(home);
    for (const text of ['one', 'two', 'three', 'four', 'five', 'six']) await buildWeb(home, text);
    await home.ok(['image', 'protect', 'web@2']);
    insertVm(home, 'vm', 'web@3');
    const prune = ['image', 'prune', '--keep', '1'];
    expect(await home.ok([...prune, '--older-than', '1d'])).toBe('nothing to prune\n');
    const plan = await home.ok([...prune, '--dry-run']);
    expect(plan).toMatch(
      /^would remove web@4 \([0-9a-f]{12}, .*\)\nwould remove web@1 \(.*\)\n[\d.]+ MiB in all, freed when the trash is: banger trash empty\n$/u,
    );
    expect((await history(home)).length).toBe(6);
    const { document: doomed } = await home.json<BuiltImage>(['image', 'show', 'web@1']);
    const { document } = await home.json<{ images: BuiltImage[]; freed_bytes: number }>(prune);
    expect(document.images.map(({ name }) => name)).toEqual(['web@4', 'web@1']);
    expect(document.freed_bytes).toBeGreaterThan(2 ** 20);
    expect(existsSync(doomed.artifact_dir)).toBe(false);
    expect((await history(home)).map(([, name]) => name)).toEqual(['web', 'web@5', 'web@3', 'web@2']);
    const refused = await home.fails(5, ['image', 'delete', 'web@2', '--yes']);
    expect(refused).toContain('→ banger image unprotect web@2');
    expect(await home.ok(['image', 'unprotect', 'web@2'])).toBe('web@2 is not protected any more\n');
    await home.ok(['image', 'prune', 'web', '--keep', '0']);
    expect((await history(home)).map(([, name]) => name)).toEqual(['web', 'web@3']);
  });

  test('are pruned on a terminal after a yes', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeBase(home);
    await buildWeb(home, 'one');
    await buildWeb(home, 'two');
    const terminal = startOnTerminal(home, ['image', 'prune', '--keep', '0']);
    await terminal.until(/remove them\?/u);
    terminal.type('n\r');
    expect(await terminal.exited).toBe(130);
    expect((await history(home)).length).toBe(2);
  });

  test('are told for people, with what each took and has for itself', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeBase(home);
    await buildWeb(home, 'one');
    await buildWeb(home, 'two');
    const table = await home.ok(['image', 'history', 'web']);
    expect(table).toMatch(
      /^GENERATION +ID +CREATED +SIZE +OWN +TOOK +PACKAGES +RECIPE +BASE +MARKS\n2 +[0-9a-f]{12} .* base +current\n1 /u,
    );
    const { document } = await home.json<Generation[]>(['image', 'history', 'web']);
    for (const { duration_ms, allocated_bytes, own_bytes } of document) {
      expect(duration_ms).toBeGreaterThan(0);
      expect(own_bytes).toBeGreaterThan(0);
      expect(own_bytes).toBeLessThanOrEqual(allocated_bytes ?? 0);
    }
    expect(await home.ok(['image', 'history', 'web', '-q'])).toBe('web\nweb@1\n');
  });
});

test.runIf(inject('testRun').root)('what generations share is not told as freed', async ({ makeHome }) => {
  const home = await makeHome(user);
  await keepNoSteps(home);
  const xfs = await mountXfs(400, user);
  const env = { BANGER_STATE_DIR: join(xfs.directory, 'state') };
  try {
    const { rootfs, kernel } = await makeBase(home);
    await home.ok(['image', 'register', 'base', '--rootfs', rootfs, '--kernel', kernel], { env });
    await home.ok(['image', 'promote', 'base'], { env });
    for (const text of ['one', 'two']) await buildWeb(home, text, { env });
    await run('sync', ['-f', xfs.directory]);
    const { document: history } = await home.json<Generation[]>(['image', 'history', 'web'], { env });
    const [, earlier] = history;
    const before = await freeBytes(xfs.directory);
    const pruned = await home.json<{ freed_bytes: number }>(['image', 'prune', '--keep', '0', '--purge'], {
      env,
    });
    const freed = (await freeBytes(xfs.directory)) - before;
    expect(pruned.document.freed_bytes).toBeLessThan(earlier?.allocated_bytes ?? 0);
    expect(earlier?.own_bytes).toBeLessThanOrEqual(pruned.document.freed_bytes);
    // What XFS had set aside for writes to shared extents comes back, too, and is in no list of extents.
    expect(freed - pruned.document.freed_bytes).toBeGreaterThan(-(2 ** 16));
    expect(freed - pruned.document.freed_bytes).toBeLessThan(2 ** 20);
    expect(pruned.document.freed_bytes).toBeGreaterThan(2 ** 18);
    await assertSound(env.BANGER_STATE_DIR, { uid: user.uid });
  } finally {
    await xfs.remove();
  }
});

async function freeBytes(directory: string): Promise<number> {
  await run('sync', ['-f', directory]);
  const { bfree, bsize } = await statfs(directory);
  return bfree * bsize;
}
