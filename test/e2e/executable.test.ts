import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, statSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { registerImage } from '../support/boot-files.ts';
import type { Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { REPOSITORY } from '../support/program.ts';

const AS_ROOT = process.getuid?.() === 0;
const EXECUTABLE = join(REPOSITORY, 'dist/banger');

interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

/** The executable where every account may run it. */
async function install(home: Home): Promise<string> {
  const path = join(home.directory, 'bin/banger');
  await mkdir(join(home.directory, 'bin'));
  await copyFile(EXECUTABLE, path);
  for (const made of [join(home.directory, 'bin'), path])
    await chown(made, home.account.uid, home.account.gid);
  return path;
}

/** Runs it as the home's owner, with nothing in its environment but what is given. */
async function runBare(
  home: Home,
  argv: readonly string[],
  { env = {}, before = '' }: { env?: Record<string, string>; before?: string } = {},
): Promise<Ran> {
  const { uid, gid } = home.account;
  const identity = AS_ROOT ? `setpriv --reuid ${uid} --regid ${gid} --clear-groups` : '';
  const variables = Object.entries({ HOME: home.directory, PATH: '/usr/bin:/bin', ...env });
  const script = `set -e; cd "$1"; shift; ${before}\nexec ${identity} env -i "$@"`;
  const argv0 = AS_ROOT ? ['unshare', '--mount', '--propagation', 'private', 'sh'] : ['sh'];
  const [file = '', ...args] = [
    ...argv0,
    ...['-c', script, 'sh', home.directory],
    ...variables.map(([name, value]) => `${name}=${value}`),
    ...argv,
  ];
  const { exitCode, stdout, stderr } = await run(file, args, { okExit: 'any' });
  return { status: exitCode, stdout, stderr };
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

describe('the executable', () => {
  const { user } = inject('testRun');

  test('is the same, byte for byte, when it is built again elsewhere', async () => {
    const directory = await mkdtemp(join(inject('testRun').directory, 'build-'));
    try {
      const [again, work] = [join(directory, 'banger'), join(directory, 'work')];
      const node = join(REPOSITORY, 'node_modules/node/bin/node');
      await run(node, [join(REPOSITORY, 'scripts/executable/build.ts'), again, work], { cwd: directory });
      expect(await hashOf(again)).toBe(await hashOf(EXECUTABLE));
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('keeps its addon in a private directory, for itself alone', async ({ makeHome }) => {
    const home = await makeHome(user);
    const banger = await install(home);
    const cache = join(home.directory, '.cache/banger');
    expect(await runBare(home, [banger, '--version'])).toMatchObject({ status: 0 });
    expect(existsSync(cache)).toBe(false);
    await registerImage(home, 'one');
    const list = [banger, 'image', 'list', '--quiet'];
    expect(await runBare(home, list)).toEqual({ status: 0, stdout: 'one\n', stderr: '' });
    const [name = '', ...others] = readdirSync(cache);
    expect([name, others]).toEqual([expect.stringMatching(/^sqlite-[0-9a-f]{32}\.node$/u), []]);
    const addon = join(cache, name);
    const { ino, mode } = statSync(addon);
    expect([statSync(cache).mode & 0o777, mode & 0o777]).toEqual([0o700, 0o600]);
    await runBare(home, list);
    expect(statSync(addon).ino).toBe(ino);

    // One that others may have changed, or that was cut short, is made anew.
    await chmod(addon, 0o666);
    expect((await runBare(home, list)).stdout).toBe('one\n');
    expect(statSync(addon).mode & 0o777).toBe(0o600);
    await writeFile(addon, 'short');
    expect((await runBare(home, list)).stdout).toBe('one\n');
    await rm(addon);
    await symlink('/etc/passwd', addon);
    expect((await runBare(home, list)).stdout).toBe('one\n');
    expect(statSync(addon).isFile()).toBe(true);
    await home.ok(['image', 'delete', 'one']);
  });

  test.runIf(AS_ROOT)('finds another place where the cache will not do', async ({ makeHome }) => {
    const home = await makeHome(user);
    const banger = await install(home);
    await registerImage(home, 'one');
    const list = [banger, 'image', 'list', '--quiet'];
    const [cache, runtime, temporary] = ['cache', 'runtime', 'temporary'].map((name) =>
      join(home.directory, name),
    );
    for (const path of [cache, runtime, temporary]) {
      await mkdir(path ?? '', { mode: 0o700 });
      await chown(path ?? '', user.uid, user.gid);
    }
    const env = { BANGER_CACHE_DIR: `${cache}`, XDG_RUNTIME_DIR: `${runtime}`, TMPDIR: `${temporary}` };
    const noexec = (path = ''): string => `mount -t tmpfs -o noexec,mode=0700,uid=${user.uid} none ${path};`;
    const readonly = (path = ''): string => `mount -t tmpfs -o ro none ${path};`;
    const told = { status: 0, stdout: 'one\n', stderr: '' };

    expect(await runBare(home, list, { env, before: noexec(cache) })).toEqual(told);
    expect(readdirSync(join(runtime ?? '', 'banger'))).toHaveLength(1);
    expect(await runBare(home, list, { env, before: readonly(cache) + noexec(runtime) })).toEqual(told);
    expect(readdirSync(temporary ?? '')).toEqual([]);

    // Somebody else's directory is nobody's to load code from.
    const theirs = join(home.directory, 'theirs');
    await mkdir(theirs, { mode: 0o777 });
    await chmod(theirs, 0o777);
    expect(await runBare(home, list, { env: { ...env, BANGER_CACHE_DIR: theirs } })).toEqual(told);
    expect(readdirSync(theirs)).toEqual([]);

    const nowhere = await runBare(home, list, {
      env,
      before: readonly(cache) + noexec(runtime) + noexec(temporary),
    });
    expect([nowhere.status, nowhere.stdout]).toEqual([6, '']);
    expect(nowhere.stderr).toMatch(/^error: SQLite cannot be loaded: 3 problems\n/u);
    expect(nowhere.stderr).toContain('BANGER_CACHE_DIR=DIR');
    await home.ok(['image', 'delete', 'one']);
  });

  test('reads nothing from beside it, from where it is run, or from Node’s own variables', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    const banger = await install(home);
    const evil = await home.write('evil.cjs', "console.log('evil'); process.exit(77)");
    const beside = [
      'package.json',
      'oclif.manifest.json',
      '.env',
      '.banger',
      'bin/package.json',
      'bin/oclif.manifest.json',
    ];
    for (const name of beside)
      await home.write(name, '{"name": "evil", "version": "6.6.6", "oclif": {"plugins": ["evil"]}}');
    await home.write('.config/banger/theme.json', '{"bin": "red"}');
    await home.write('node_modules/better-sqlite3/index.js', "console.log('evil')");
    const env = {
      NODE_OPTIONS: `--require ${evil}`,
      NODE_PATH: join(home.directory, 'node_modules'),
      NODE_COMPILE_CACHE: join(home.directory, 'compile-cache'),
      FORCE_COLOR: '1',
    };
    const { version } = JSON.parse((await runBare(home, [banger, 'version', '--json'], { env })).stdout);
    expect(version).toMatch(/^0\./u);
    expect(await runBare(home, [banger, 'image', 'list'], { env })).toMatchObject({ status: 0, stderr: '' });
    expect(filesBelow(join(home.directory, 'compile-cache'))).toEqual([]);
    const help = await runBare(home, [banger, 'image', '--help'], { env });
    expect(help.stdout).not.toMatch(/evil|6\.6\.6|\x1b\[31m/u);
    const theme = join(home.directory, '.config/banger/theme.json');
    await rm(theme);
    const plain = await runBare(home, [banger, 'image', '--help'], { env: { FORCE_COLOR: '1' } });
    expect(help.stdout).toBe(plain.stdout);
  });

  test('tells what it is made of', async ({ makeHome }) => {
    const home = await makeHome(user);
    const banger = await install(home);
    const own = join(home.directory, 'own-cache');
    const { stdout } = await runBare(home, [banger, 'version', '--verbose', '--json'], {
      env: { BANGER_CACHE_DIR: own },
    });
    expect(readdirSync(own)).toHaveLength(1);
    expect(existsSync(join(home.directory, '.cache'))).toBe(false);
    // A place where directories exist and refuse new entries with ENOENT.
    const nowhere = { BANGER_CACHE_DIR: '/proc/nowhere/cache' };
    expect(await runBare(home, [banger, 'version', '--verbose'], { env: nowhere })).toMatchObject({
      status: 0,
    });
    const { exitCode, stdout: head } = await run(
      'git',
      ['-C', REPOSITORY, '-c', `safe.directory=${REPOSITORY}`, 'rev-parse', 'HEAD'],
      { okExit: 'any' },
    );
    const versions = JSON.parse(stdout) as Record<string, string>;
    expect(versions).toMatchObject({
      node: process.versions.node,
      sqlite: expect.stringMatching(/^3\./u),
      e2fsprogs: expect.stringMatching(/^1\./u),
    });
    if (exitCode === 0) expect(versions.commit).toMatch(new RegExp(`^${head.trim()}`, 'u'));
  });
});
