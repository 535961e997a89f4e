import { spawn } from 'node:child_process';
import { describe, expect, inject } from 'vitest';
import { makeDisk, registerImage } from '../support/boot-files.ts';
import type { CliOptions, Home } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { insertVm, removeVms, sql } from '../support/registry.ts';
import { startOnTerminal, startProgramOnTerminal } from '../support/terminal.ts';

/** Escape sequences that move the cursor or hide it: all but those that set colours (ECMA-48, SGR). */
const MOVES = /\u001b(?!\[[\d;]*m)/u;
const COLOURS = /\u001b\[[\d;]*m/u;
/** What may not reach a terminal: C0 but tab, newline and return, DEL, C1, and the bidirectional controls. */
const UNSAFE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** Runs a shell command in which `banger` is the program. */
async function shell(
  home: Home,
  script: string,
  options: CliOptions = {},
): Promise<{ status: number; stdout: string; stderr: string }> {
  const [file, args] = home.commandLine([]);
  const { uid, gid } = home.account;
  const child = spawn(
    'bash',
    ['-c', `banger() { ${file} ${args.join(' ')} "$@"; }; set -o pipefail; ${script}`],
    {
      cwd: home.directory,
      env: home.environment(options.env),
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(process.getuid?.() === 0 ? { uid, gid } : {}),
    },
  );
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const status = await new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)));
  return { status, ...output };
}

describe('without a terminal', () => {
  const { user } = inject('testRun');

  test('progress is plain lines on stderr, also where colours are asked for', async ({ makeHome }) => {
    const home = await makeHome(user);
    await makeDisk(home, 'one.work-seed.ext4');
    await registerImage(home, 'one');
    const { stdout, stderr } = await home.run(['image', 'promote', 'one'], {
      env: { TERM: 'xterm-256color', FORCE_COLOR: '1', CLICOLOR_FORCE: '1' },
    });
    expect(stdout).toMatch(/^promoted one: \/\S+\n$/u);
    expect(stderr.replaceAll(/[\d.]+s$/gmu, 'TIME').replaceAll(/ {2}(copied|cloned).*/gu, '  HOW')).toBe(
      `copy_rootfs ...
  HOW
copy_rootfs done in TIME
copy_work_seed ...
  HOW
copy_work_seed done in TIME
seed_ssh ...
seed_ssh done in TIME
copy_boot_artifacts ...
copy_boot_artifacts done in TIME
activate_artifacts ...
activate_artifacts done in TIME
persisted ...
persisted done in TIME
`,
    );
    const failed = await home.fails(5, ['image', 'promote', 'one'], { env: { FORCE_COLOR: '1' } });
    expect(failed).toBe('error: one is managed already\n  → banger image show one\n');
  });

  test('--json gives one document on stdout and progress on stderr, --quiet gives neither', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    for (const name of ['one', 'two', 'three']) await registerImage(home, name);
    const promoted = await home.run(['image', 'promote', 'one', '--json']);
    expect(JSON.parse(promoted.stdout)).toMatchObject({ name: 'one', managed: true });
    expect(promoted.stderr).toContain('copy_rootfs ...\n');
    const quiet = await home.run(['image', 'promote', 'two', '--quiet', '--json']);
    expect(JSON.parse(quiet.stdout)).toMatchObject({ name: 'two' });
    expect(quiet.stderr).toBe('');
    expect(await home.run(['image', 'promote', 'three', '-q'])).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    });
    expect(JSON.parse((await home.run(['image', 'list', '-q', '--json'])).stdout)).toHaveLength(3);
    expect(await home.run(['image', 'delete', 'one', '-q'])).toEqual({ status: 0, stdout: '', stderr: '' });
    // An error is no progress.
    expect(await home.fails(3, ['image', 'delete', 'one', '-q'])).toContain("no image 'one'");
  });

  test('a reader that leaves ends the output, not the work', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    await registerImage(home, 'two');
    expect(await shell(home, 'banger image list | head -1')).toMatchObject({ status: 0, stderr: '' });
    expect(await shell(home, 'banger image promote one 2>&1 | head -1')).toMatchObject({
      status: 0,
      stdout: 'copy_rootfs ...\n',
    });
    expect(await shell(home, 'banger image promote two >&- 2>&-')).toMatchObject({ status: 0 });
    expect(await home.ok(['image', 'list', '--filter', 'managed=yes', '-q'])).toBe('one\ntwo\n');
  });

  test('output that is lost on a full disk fails the run, and hides no other failure', async ({
    makeHome,
  }) => {
    const home = await makeHome(user);
    expect(await shell(home, 'banger image list >/dev/full')).toEqual({
      status: 9,
      stdout: '',
      stderr: 'error: standard output: ENOSPC: no space left on device, write\n',
    });
    expect(await shell(home, 'banger image show one --json >/dev/full')).toMatchObject({ status: 3 });
  });
});

describe('on a terminal', () => {
  const { user } = inject('testRun');

  test('progress is live and coloured, unless colours are not wanted', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    await registerImage(home, 'two');
    const coloured = startOnTerminal(home, ['image', 'promote', 'one']);
    expect(await coloured.exited).toBe(0);
    expect(coloured.output()).toMatch(MOVES);
    expect(coloured.output()).toMatch(COLOURS);
    expect(coloured.output()).toMatch(/✔.* copy_rootfs \([\d.]+s\): (copied|cloned)/u);
    const plain = startOnTerminal(home, ['image', 'promote', 'two'], { env: { NO_COLOR: '1' } });
    expect(await plain.exited).toBe(0);
    expect(plain.output()).not.toMatch(COLOURS);
    const again = startOnTerminal(home, ['image', 'promote', 'two'], { env: { NO_COLOR: '1' } });
    expect(await again.exited).toBe(5);
    expect(again.output()).toBe('error: two is managed already\r\n  → banger image show two\r\n');
  });

  test('that can do nothing, progress is plain', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const [file, args] = home.commandLine(['image', 'promote', 'one']);
    const dumb = startProgramOnTerminal(home, 'env', ['TERM=dumb', file, ...args]);
    expect(await dumb.exited).toBe(0);
    expect(dumb.output()).toContain('copy_rootfs ...\r\n');
    expect(dumb.output()).not.toMatch(MOVES);
  });

  test('nothing that the registry holds can steer it', async ({ makeHome }) => {
    const home = await makeHome(user);
    await registerImage(home, 'one');
    const hostile = '\u001b]0;owned\u0007\u001b[2J\u009b31mred\u202edlo\rover\nline\u0000';
    for (const column of [
      'name',
      'rootfs_path',
      'kernel_path',
      'work_seed_path',
      'kernel_version',
      'base_image_name',
    ]) {
      sql(home, `UPDATE images SET ${column} = ?, base_image_id = id`, hostile);
    }
    sql(
      home,
      'UPDATE images SET seeded_ssh_public_key_fingerprint = ?, packages_preset = ?',
      hostile,
      hostile,
    );
    insertVm(home, hostile, hostile);
    sql(
      home,
      'UPDATE operations SET image_name = ?, command = ?, host = ?, error = ?',
      ...Array(4).fill(hostile),
    );
    const [{ image, operation } = { image: '', operation: '' }] = sql<{ image: string; operation: string }>(
      home,
      'SELECT images.id AS image, operations.id AS operation FROM images, operations',
    );
    for (const args of [
      ['image', 'list'],
      ['image', 'show', image],
      ['image', 'delete', image, '-y'],
      ['vm', 'list'],
      ['operation', 'list'],
      ['operation', 'show', operation],
      ['operation', 'cancel', operation],
    ]) {
      for (const more of [[], ['--json']]) {
        const { status, stdout, stderr } = await home.run([...args, ...more]);
        expect(stdout + stderr, args.join(' ')).not.toMatch(UNSAFE);
        expect(stdout + stderr, args.join(' ')).toContain('red');
        // Data is given as it is, in JSON's own escapes.
        if (more.length > 0 && status === 0)
          expect(stdout, args.join(' ')).toContain('\\u001b[2J\\u009b31mred');
      }
    }
    removeVms(home);
  });
});
