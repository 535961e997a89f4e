import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { makeBootFiles, makeDisk, registerImage } from '../support/boot-files.ts';
import { type Home, testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { assertSound } from '../support/verifier.ts';

const { root, user } = inject('testRun');

/** Where a command with these settings keeps its state, as a path below the home. */
async function stateOf(home: Home, args: string[], env: Record<string, string>): Promise<string> {
  const { flags } = await makeBootFiles(home);
  await home.ok(['image', 'register', 'one', ...flags, ...args], { env });
  const found = (await readdir(home.directory, { recursive: true })).filter((name) =>
    name.endsWith('/banger.db'),
  );
  expect(found).toHaveLength(1);
  const [path = ''] = found;
  await assertSound(join(home.directory, path, '..'), { uid: home.account.uid });
  return path.replace(/\/banger\.db$/u, '');
}

describe('the state directory', () => {
  test.for([
    [
      'the flag',
      ['--state-dir', 'flag'],
      { BANGER_STATE_DIR: '$HOME/env', BANGER_CONFIG: '$HOME/config.toml' },
      'flag',
    ],
    ['the environment', [], { BANGER_STATE_DIR: '$HOME/env', BANGER_CONFIG: '$HOME/config.toml' }, 'env'],
    ['the config file', [], { BANGER_STATE_DIR: '', BANGER_CONFIG: '$HOME/config.toml' }, 'file'],
    ["XDG's directory", [], { XDG_STATE_HOME: '$HOME/xdg' }, 'xdg/banger'],
    ['the default', [], { XDG_STATE_HOME: 'relative' }, '.local/state/banger'],
  ] as [string, string[], Record<string, string>, string][])(
    'comes from %s before all that follows',
    async ([, args, env, wanted], { makeHome }) => {
      const home = await makeHome(user);
      await home.write('config.toml', 'state_dir = "file"\n');
      const set = Object.fromEntries(
        Object.entries(env).map(([name, value]) => [name, value.replace('$HOME', home.directory)]),
      );
      expect(await stateOf(home, args, set)).toBe(wanted);
    },
  );

  test('is not the default when the flag is empty', async ({ makeHome }) => {
    const home = await makeHome(user);
    const said = await home.fails(2, ['image', 'delete', 'one', '--state-dir', '']);
    expect(said).toContain('error: --state-dir: expected a directory but received nothing\n');
  });

  test('may have any name', async ({ makeHome }) => {
    const home = await makeHome(user);
    const hostile = `-a\nb "c" 'd' $(e) %s ünï?mode=ro#`;
    expect(await stateOf(home, [`--state-dir=${hostile}`], {})).toBe(hostile);
    await home.ok(['image', 'promote', 'one', `--state-dir=${hostile}`]);
    expect(await home.ok(['image', 'list', '-q', `--state-dir=${hostile}`])).toBe('one\n');
    await home.ok(['image', 'delete', 'one', `--state-dir=${hostile}`]);
  });

  test('that cannot be one is refused with the reason, by readers too', async ({ makeHome }) => {
    const home = await makeHome(user);
    await home.write('file', '');
    await symlink('loop', join(home.directory, 'loop'));
    await mkdir(join(home.directory, 'closed'), { mode: 0o700 });
    await chmod(join(home.directory, 'closed'), 0);
    const { flags } = await makeBootFiles(home);
    const register = ['image', 'register', 'one', ...flags];
    for (const [directory, said] of [
      ['file', 'is not a directory'],
      ['file/below', 'ENOTDIR'],
      ['loop', 'ELOOP'],
      ['closed/below', 'EACCES'],
    ] as const) {
      for (const args of [['image', 'list'], register]) {
        const error = await home.fails(6, [...args, '--state-dir', directory]);
        expect(error, args[1]).toContain(said);
        expect(error).toContain('→ choose another place: --state-dir DIR');
      }
    }
    expect(await home.fails(6, [...register, '--state-dir', '/proc/nowhere'])).toContain('/proc/nowhere');
  });

  test.runIf(root !== null)('of another user is refused, to root too', async ({ makeHome }) => {
    if (root === null) return;
    const home = await makeHome(user);
    const { flags } = await registerImage(home, 'one');
    const before = await readdir(home.stateDir);
    for (const args of [
      ['image', 'list'],
      ['image', 'register', 'two', ...flags],
    ]) {
      const said = await home.fails(6, args, { as: root });
      expect(said).toContain(`belongs to another user (uid ${user.uid}, this is uid 0)`);
      expect(said).toContain('sudo -H banger');
    }
    expect(await readdir(home.stateDir)).toEqual(before);
    const theirs = await makeHome(root);
    await registerImage(theirs, 'one');
    const list = (): Promise<string> => theirs.fails(6, ['image', 'list'], { as: user });
    await chmod(theirs.directory, 0o755);
    expect(await list()).toMatch(
      /^error: state directory: \S+ cannot be used: EACCES: [^\n]+\n {2}→ [^\n]+\n$/u,
    );
    for (const parent of ['.local', '.local/state']) await chmod(join(theirs.directory, parent), 0o755);
    expect(await list()).toContain('belongs to another user (uid 0');
  });
});

describe.each(testAccounts())('as $label, from cron', (account) => {
  test('all works with nothing but HOME and a short PATH', async ({ makeHome }) => {
    const home = await makeHome(account);
    const onlyEnv = { PATH: '/usr/bin:/bin', HOME: home.directory };
    const { flags } = await makeBootFiles(home);
    await makeDisk(home, 'little.work-seed.ext4');
    await home.ok(['image', 'register', 'one', ...flags], { onlyEnv, cwd: '/' });
    await home.ok(['image', 'promote', 'one'], { onlyEnv, cwd: '/' });
    await home.verify();
    expect(await home.ok(['image', 'list', '--quiet'], { onlyEnv, cwd: '/' })).toBe('one\n');
    expect(existsSync(join(home.stateDir, 'banger.db'))).toBe(true);
    await home.ok(['image', 'delete', 'one'], { onlyEnv, cwd: '/' });
  });
});
