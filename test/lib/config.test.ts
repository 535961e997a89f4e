import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/lib/config.ts';
import type { PreflightError } from '../../src/lib/errors.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'banger-config-'));
  await mkdir(join(home, '.config/banger'), { recursive: true });
});
afterEach(() => rm(home, { recursive: true }));

async function write(text: string): Promise<string> {
  const path = join(home, '.config/banger/config.toml');
  await writeFile(path, text);
  return path;
}

/** The error of a configuration that must be refused. */
async function refusal(env: Record<string, string> = {}): Promise<PreflightError> {
  try {
    await loadConfig({}, { HOME: home, ...env });
  } catch (error) {
    expect(error).toMatchObject({ code: 'preflight_failed', exitCode: 6 });
    return error as PreflightError;
  }
  throw new Error('it was not refused');
}

describe('without a config file', () => {
  test('everything is where XDG says', async () => {
    expect(await loadConfig({}, { HOME: home })).toEqual({
      path: join(home, '.config/banger/config.toml'),
      stateDir: join(home, '.local/state/banger'),
      cacheDir: join(home, '.cache/banger'),
      trashDays: 7,
      cacheLimit: 20 * 2 ** 30,
      cacheCopies: 'every',
      sshKeyPath: join(home, '.config/banger/id_ed25519'),
    });
  });

  test('XDG variables move it', async () => {
    const env = { HOME: home, XDG_STATE_HOME: '/s', XDG_CACHE_HOME: '/c', XDG_CONFIG_HOME: '/e' };
    expect(await loadConfig({}, env)).toEqual({
      path: '/e/banger/config.toml',
      stateDir: '/s/banger',
      cacheDir: '/c/banger',
      trashDays: 7,
      cacheLimit: 20 * 2 ** 30,
      cacheCopies: 'every',
      sshKeyPath: '/e/banger/id_ed25519',
    });
  });

  test.each(['', 'relative/state', '.'])('XDG_STATE_HOME=%j is to be ignored', async (value) => {
    const { stateDir } = await loadConfig({}, { HOME: home, XDG_STATE_HOME: value });
    expect(stateDir).toBe(join(home, '.local/state/banger'));
  });

  test.each([{}, { HOME: '' }])('without HOME (%j) the password database knows it', async (env) => {
    const { stateDir } = await loadConfig({}, env);
    expect(stateDir).toBe(join(userInfo().homedir, '.local/state/banger'));
  });
});

describe('precedence', () => {
  test('flag, environment, file, default', async () => {
    await write('state_dir = "/file/state"\ncache_dir = "/file/cache"\nssh_key_path = "/file/key"');
    const env = { HOME: home, BANGER_STATE_DIR: '/env/state', BANGER_CACHE_DIR: '/env/cache' };
    expect(await loadConfig({ stateDir: '/flag/state' }, env)).toMatchObject({ stateDir: '/flag/state' });
    expect(await loadConfig({}, env)).toMatchObject({
      stateDir: '/env/state',
      cacheDir: '/env/cache',
      sshKeyPath: '/file/key',
    });
    expect(await loadConfig({}, { HOME: home })).toMatchObject({
      stateDir: '/file/state',
      cacheDir: '/file/cache',
    });
  });

  test('an empty variable is none', async () => {
    await write('state_dir = "/file/state"');
    const env = { HOME: home, BANGER_STATE_DIR: '', BANGER_CONFIG: '', BANGER_CACHE_DIR: '' };
    expect(await loadConfig({}, env)).toMatchObject({
      stateDir: '/file/state',
      cacheDir: join(home, '.cache/banger'),
    });
  });

  test('relative paths: of a flag to here, in the file to the file, and ~ to home', async () => {
    await write('state_dir = "state"\ncache_dir = "~/cache"\nssh_key_path = "../key"');
    expect(await loadConfig({}, { HOME: home })).toMatchObject({
      stateDir: join(home, '.config/banger/state'),
      cacheDir: join(home, 'cache'),
      sshKeyPath: join(home, '.config/key'),
    });
    expect(await loadConfig({ stateDir: 'here' }, { HOME: home })).toMatchObject({
      stateDir: join(process.cwd(), 'here'),
    });
  });

  test('BANGER_CONFIG may be relative, too', async () => {
    const path = join(home, 'other.toml');
    await writeFile(path, '');
    const { path: shown } = await loadConfig(
      {},
      { HOME: home, BANGER_CONFIG: relative(process.cwd(), path) },
    );
    expect(shown).toBe(path);
  });

  test('BANGER_CONFIG names another file', async () => {
    const path = join(home, 'other.toml');
    await writeFile(path, 'state_dir = "s"');
    expect(await loadConfig({}, { HOME: home, BANGER_CONFIG: path })).toMatchObject({
      path,
      stateDir: join(home, 's'),
    });
  });
});

describe('a config file that cannot be used is refused', () => {
  test.each(['"some"', '0', 'true'])('cache_copies = %s, and says what there is', async (value) => {
    await write(`cache_copies = ${value}`);
    const error = await refusal();
    expect(error.message).toContain('\'cache_copies\' must be "every" or "worthwhile"');
    expect(error.hints.join()).toContain('cache_copies = "every"');
  });

  test('unknown keys, with a guess', async () => {
    const path = await write('state_dri = "/x"');
    const error = await refusal();
    expect(error.message).toContain(`${path}: unknown key 'state_dri'`);
    expect(error.hints.join()).toContain("did you mean 'state_dir'?");
  });

  test('bad TOML, with the place', async () => {
    const path = await write('state_dir = "/x"\nssh_key_path = \n');
    const error = await refusal();
    expect(error.message).toContain(path);
    expect(error.message).toMatch(/2/u);
    expect(error.message).not.toContain('\n');
  });

  test.each([
    'state_dir = 3',
    'state_dir = ""',
    'state_dir = ["a"]',
    '[state_dir]\nx = 1',
    'state_dir = "a\\u0000"',
  ])('%j', async (text) => {
    await write(text);
    expect((await refusal()).message).toContain("'state_dir' must be a non-empty string");
  });

  test('a BANGER_CONFIG that is not there', async () => {
    expect((await refusal({ BANGER_CONFIG: join(home, 'gone.toml') })).message).toContain('does not exist');
  });

  test('a directory', async () => {
    expect((await refusal({ BANGER_CONFIG: home })).message).toContain('EISDIR');
  });

  test('one with control characters in a key does not reach the terminal', async () => {
    await write('"a\\u001b[31m" = 1');
    expect(JSON.stringify((await refusal()).message)).not.toContain('\\u001b');
  });

  test('one that cannot be reached is not taken for one that is not there', async () => {
    await symlink('banger', join(home, 'banger'));
    const error = await refusal({ XDG_CONFIG_HOME: home });
    expect(error.message).toContain('ELOOP');
  });
});
