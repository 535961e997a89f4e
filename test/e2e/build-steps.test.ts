import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { build, buildArguments, failToBuild, journalOf, makeBase, readLogs } from '../support/builds.ts';
import { testAccounts } from '../support/cli.ts';
import { test } from '../support/fixtures.ts';
import { listGuest, readGuest, statGuest } from '../support/guest-files.ts';

const MIB = 2 ** 20;

describe.each(testAccounts())('as $label', (account) => {
  test('a step that fails is told with its last lines, and leaves its log alone', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const listed = await home.ok(['image', 'list', '--json']);
    // Two pipes: only time tells which of their lines came first.
    const command =
      'for i in $(busybox seq 1 30); do echo "line $i"; done; busybox sleep 1; echo bad >&2; exit 42';
    const steps = ['--run', 'true', '--run', command, '--run', 'echo never'];
    const plain = await home.run(buildArguments('failed', ...steps));
    expect(plain).toMatchObject({ status: 8, stdout: '' });
    expect(plain.stderr).toContain(`error: step 2/3: run ${command}: failed with status 42 after`);
    expect(plain.stderr.match(/^ {2}\| .*$/gmu)).toEqual(
      [...Array.from({ length: 19 }, (_, index) => `line ${index + 12}`), 'bad'].map((line) => `  | ${line}`),
    );
    const { log_path: path, state, error } = await journalOf(home, 'failed');
    expect(state).toBe('failed');
    expect(error).toContain('status 42');
    expect(plain.stderr).toContain(`→ less ${path}\n`);
    const log = readFileSync(path, 'utf8');
    expect(log).toContain(`step 2/3: run ${command}\n`);
    expect(log.match(/ {3}line \d+$/gmu)).toHaveLength(30);
    expect(log).toMatch(/step 2\/3: status 42 after \d+\.\ds$/mu);
    expect(log).not.toContain('never');

    const failed = await failToBuild(home, 'failed', ['--run', 'kill -9 $$']);
    expect(failed).toMatchObject({ code: 'step_failed', exit_code: 8, status: 137, output: [] });
    expect(readFileSync(failed.log_path ?? '', 'utf8')).toContain('status 137');
    expect(await home.ok(['image', 'list', '--json'])).toBe(listed);
    expect(readdirSync(join(home.stateDir, 'images'))).toEqual([]);
    expect(readdirSync(join(home.stateDir, 'image-build'))).toHaveLength(2);
  });

  test('a script needs no x bit, no first line and no place that may execute', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const plain = await home.write('plain', 'echo "plain $0 $# $PWD" >>/ran');
    const argument = await home.write('argument', '#! /bin/busybox sh\necho argument >>/ran\n');
    const awk = await home.write(
      '-it\'s "an" awk\nscript',
      '#!/usr/bin/env -S awk -f\nBEGIN { print "awk" >>"/ran" }\n',
      0o755,
    );
    await symlink(argument, join(home.directory, 'link'));
    const scripts = [plain, join(home.directory, 'link')];
    const where = join(home.directory, 'noexec');
    if (inject('testRun').root) scripts.push(join(where, 'script'));
    await mkdir(where);
    const image = await build(
      home,
      'scripted',
      [
        ...scripts.flatMap((path) => ['--script', path]),
        '--run',
        'ls -ld /run/banger; test ! -e /run/banger/script',
      ],
      {
        ...(inject('testRun').root
          ? {
              inNamespace: `mount -t tmpfs -o noexec,mode=755 tmpfs ${where}; echo 'echo noexec >>/ran' >${where}/script; chmod 755 ${where}/script`,
            }
          : {}),
      },
    );
    const ran = ['plain /run/banger/script 0 /', 'argument', ...(inject('testRun').root ? ['noexec'] : [])];
    expect(await readGuest(image.rootfs_path, '/ran')).toBe(`${ran.join('\n')}\n`);

    const failed = await failToBuild(home, 'failed', ['--script', awk]);
    expect(failed).toMatchObject({
      code: 'step_failed',
      message: expect.stringMatching(/script \S+-it's "an" awk script: failed/u),
    });
    const none = await failToBuild(home, 'none', [
      '--script',
      'nowhere',
      '--script',
      '.',
      '--copy',
      "it's gone:/x",
    ]);
    expect(none).toMatchObject({ code: 'preflight_failed', exit_code: 6 });
    expect(none.message).toMatch(/3 problems/u);
    expect(none.hints).toContain(`check the path: ls -ld '${home.directory}/it'\\''s gone'`);
  });

  test('what is copied is as COPY of a Dockerfile has it, and never leaves the guest', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const odd = ['new\nline', `quo"te's`, '-dash', ' blank ', '$(touch x)', '*', 'ünï'];
    for (const name of odd) await home.write(`tree/${name}`, name);
    await home.write('tree/deep/setuid', 'x');
    await chmod(join(home.directory, 'tree/deep/setuid'), 0o6755);
    await chmod(join(home.directory, 'tree/deep'), 0o1775);
    await home.write('tree/private', 'secret', 0o600);
    await mkdir(join(home.directory, 'tree/empty'));
    await symlink('/etc/passwd', join(home.directory, 'tree/absolute'));
    await symlink('gone', join(home.directory, 'tree/dangling'));
    await run('mkfifo', [join(home.directory, 'tree/pipe')]);
    const outside = join(home.directory, 'outside');
    await mkdir(outside);
    await chmod(outside, 0o777);
    await home.write('-a:file', 'a file', 0o640);
    const image = await build(home, 'copied', [
      ...[
        '--run',
        `ln -s ${outside} /escape; ln -s ../../../../../../../etc /up; mkdir -p /a/b /old; echo old >/old/file`,
      ],
      ...[
        '--run',
        'chown 7:7 /old/file /old; chmod 4777 /old/file; ln /old/file /old/other; ln -s nowhere /old/dangling',
      ],
      ...['--copy', `${home.directory}/-a:file:/plain/new/name`],
      ...['--copy=-a:file:/plain/'],
      ...['--copy', './-a:file:/a/b'],
      ...['--copy', './-a:file:/up/from-outside'],
      ...['--copy', './-a:file:/old/file'],
      ...['--copy', './-a:file:/old/dangling'],
      // A link to the busybox that everything is.
      ...['--copy', './-a:file:/bin/id'],
      ...['--copy', './-a:file:/new\nline/"it\'s"'],
      ...['--copy', 'tree:/tree', '--copy', 'tree/:/a', '--copy', 'tree/.:/a/'],
      ...[
        '--run',
        `set -e; cd /tree; ls -A | busybox wc -l; test "$(cat "$(printf 'new\\nline')")" = "$(printf 'new\\nline')"`,
      ],
      ...[
        '--run',
        `set -e; cd /tree; for f in 'quo"te'"'s" ./-dash ' blank ' '$(touch x)' '*' 'ünï'; do test -f "$f"; done`,
      ],
      ...['--run', 'test "$(cat "$(printf \'/new\\nline/"it\'\\\'\'s"\')")" = "a file"'],
      ...['--run', 'test -z "$(find /tree /a /plain /old/dangling ! -user 0 -o ! -group 0)"'],
    ]);
    const file = { type: 'regular', mode: 0o640, uid: 0, gid: 0, size: 6, links: 1 };
    const rootfs = image.rootfs_path;
    for (const path of [
      '/plain/new/name',
      '/plain/-a:file',
      '/a/b/-a:file',
      '/etc/from-outside',
      '/old/file',
      '/old/dangling',
      '/bin/id',
    ])
      expect([path, await statGuest(rootfs, path)]).toEqual([path, expect.objectContaining(file)]);
    expect(await statGuest(rootfs, '/old/other')).toMatchObject({ mode: 0o4777, uid: 7, gid: 7, size: 4 });
    expect(await statGuest(rootfs, '/old')).toMatchObject({ uid: 7, gid: 7 });
    expect((await statGuest(rootfs, '/bin/busybox'))?.size).toBeGreaterThan(100_000);
    expect(await statGuest(rootfs, '/tree/deep')).toMatchObject({ type: 'directory', mode: 0o1775, uid: 0 });
    expect(await statGuest(rootfs, '/tree/deep/setuid')).toMatchObject({ mode: 0o6755, uid: 0, gid: 0 });
    expect(await statGuest(rootfs, '/tree/private')).toMatchObject({ mode: 0o600, uid: 0, gid: 0 });
    expect(await statGuest(rootfs, '/tree/absolute')).toMatchObject({ type: 'symlink', size: 11 });
    expect(await statGuest(rootfs, '/tree/dangling')).toMatchObject({ type: 'symlink', size: 4 });
    expect(await statGuest(rootfs, '/tree/empty')).toMatchObject({ type: 'directory' });
    expect(await statGuest(rootfs, '/tree/pipe')).toMatchObject({ type: 'FIFO' });
    const names = (await listGuest(rootfs, '/tree')).length;
    expect(await listGuest(rootfs, '/a')).toHaveLength(names + 1);
    expect(readdirSync(outside)).toEqual([]);

    const mine = ['--copy', './-a:file:/escape/file'];
    expect(await failToBuild(home, 'refused', ['--run', `ln -s ${outside} /escape`, ...mine])).toMatchObject({
      code: 'step_failed',
    });
    expect(readdirSync(outside)).toEqual([]);
    expect(await failToBuild(home, 'refused', ['--copy', 'tree:/etc/passwd'])).toMatchObject({
      code: 'step_failed',
    });
    const closed = await home.write('closed', '', 0o600);
    if (account.uid !== 0) await run('chown', ['root', closed], { okExit: 'any' });
    const refused = await failToBuild(home, 'refused', [
      '--copy',
      'tree/pipe:/x',
      '--copy',
      '/dev/null:/x',
      '--copy',
      'closed:/x',
      '--copy',
      'closed/x:/x',
    ]);
    expect(refused.exit_code).toBe(6);
    expect(refused.message).toMatch(/pipe is not a regular file or directory/u);
    expect(refused.message).toMatch(/null is not a regular file or directory/u);
    if (account.uid !== 0 && inject('testRun').root)
      expect(refused.message).toMatch(/closed cannot be read by this user/u);
  });

  test('output of any kind is bounded in memory and clean in the log', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const escapes = String.raw`printf '\033]0;owned\007\033[31mred\033[0m\033[2J\rback\b\b\0nul\302\23331m\377\376\342\200\256bidi\n'`;
    const running = home.start(
      buildArguments(
        'hostile',
        // A line of its own for the last: what begins an escape sequence may take all up to the end of its line with it.
        ...['--run', `${escapes}; ${escapes} >&2; busybox head -c 4096 /dev/urandom; printf '\\nno newline'`],
        ...['--run', "busybox head -c 64000000 /dev/zero | busybox tr '\\0' x; echo; echo after"],
        ...['--run', "busybox head -c 9000000 /dev/zero | busybox tr '\\0' y; exit 9"],
      ),
    );
    let peakKiB = 0;
    const watch = setInterval(() => {
      const status = existsSync(`/proc/${running.pid}/status`)
        ? readFileSync(`/proc/${running.pid}/status`, 'utf8')
        : '';
      peakKiB = Math.max(peakKiB, Number(/^VmHWM:\s+(\d+)/mu.exec(status)?.[1] ?? 0));
    }, 20);
    const { status, stderr } = await running.result;
    clearInterval(watch);
    expect(status).toBe(8);
    expect(peakKiB).toBeGreaterThan(10_000);
    expect(peakKiB).toBeLessThan(400 * 1024);
    expect(stderr.length).toBeLessThan(20_000);
    expect(stderr).toMatch(/y{100}/u);
    const log = await readLogs(home);
    expect(log.match(/^\S+ {3}redbacknul31m��bidi$/gmu)).toHaveLength(2);
    expect(log).toMatch(/no newline$/mu);
    expect(log).toMatch(/^\S+ {3}after$/mu);
    expect(log.match(/x/gu)?.length).toBeGreaterThan(63_999_999);
    expect(log).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/u);
    expect(log.endsWith('\n')).toBe(true);
  });

  test('a step may leave daemons, fill the disk, or remove its shell', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const host = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/etc/issue'].filter(existsSync);
    const hashes = (): string[] =>
      host.map((path) => createHash('sha256').update(readFileSync(path)).digest('hex'));
    const before = hashes();
    const startedAt = Date.now();
    const image = await build(home, 'wild', [
      ...['--size', '64M', '--network', 'none'],
      ...[
        '--run',
        'sleep 1000 & (busybox setsid sleep 1001 &) ; busybox nohup sleep 1002 >/dev/null 2>&1 & echo started',
      ],
      ...['--run', 'test -z "$(busybox pidof sleep)"'],
      ...['--run', 'busybox tail -n +3 /proc/net/dev | busybox cut -d: -f1 | busybox tr -d " " >/interfaces'],
      ...[
        '--run',
        'echo owned >/etc/passwd; echo owned >>/etc/hosts || echo owned >/etc/hostname; echo owned >>/etc/resolv.conf; :',
      ],
      ...['--run', 'busybox head -c 52428800 /dev/urandom >/big && busybox sync'],
      ...['--run', 'if busybox dd if=/dev/zero of=/full bs=1M; then exit 1; fi; rm /big /full'],
      ...['--run', 'rm -r /tmp /proc /run /dev 2>/dev/null; rm /bin/sh'],
    ]);
    expect(Date.now() - startedAt).toBeLessThan(60_000);
    expect(await readLogs(home)).toMatch(/No space left on device/u);
    expect(await readGuest(image.rootfs_path, '/interfaces')).toBe('lo\n');
    expect(await readGuest(image.rootfs_path, '/etc/passwd')).toBe('owned\n');
    expect(await statGuest(image.rootfs_path, '/etc/resolv.conf')).toBeNull();
    expect(await statGuest(image.rootfs_path, '/bin/sh')).toBeNull();
    expect(statSync(image.rootfs_path).size).toBe(64 * MIB);
    expect(statSync(image.rootfs_path).blocks * 512).toBeLessThan(8 * MIB);
    expect(hashes()).toEqual(before);

    const shell = await failToBuild(home, 'shell', ['--run', 'rm /bin/sh', '--run', 'true']);
    expect(shell).toMatchObject({ code: 'step_failed', message: expect.stringContaining('/bin/sh') });
    const full = await failToBuild(home, 'full', ['--run', 'busybox dd if=/dev/zero of=/full bs=1M']);
    expect(full).toMatchObject({ code: 'step_failed', message: expect.stringContaining('No space left') });
  });

  test('every error of a build names its log', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs } = await makeBase(home);
    for (const tool of ['mke2fs', 'debugfs'])
      await home.write(`${tool}-fails/${tool}`, '#!/bin/sh\necho broken >&2\nexit 1\n', 0o755);
    const path = (tool: string): Record<string, string> => ({
      PATH: `${join(home.directory, `${tool}-fails`)}:/usr/bin:/bin`,
    });
    const errors = [
      await failToBuild(home, 'kernel', ['--kernel', 'nowhere']),
      await failToBuild(home, 'size', ['--size', '1M']),
      await failToBuild(home, 'mke2fs', [], { env: path('mke2fs') }),
      await failToBuild(home, 'debugfs', [], { env: path('debugfs') }),
    ];
    expect(errors.map(({ code }) => code)).toEqual([
      'preflight_failed',
      'usage',
      'tool_failed',
      'tool_failed',
    ]);
    // What e2fsck can mend is no error, and no secret.
    await run('debugfs', ['-w', '-R', 'clri /bin/ls', rootfs]);
    const mended = await home.run(buildArguments('mended', '--no-ssh'));
    expect(mended.status).toBe(0);
    expect(mended.stderr).toMatch(
      /^ {2}the root filesystem was damaged; e2fsck mended it: .*'ls' in \/bin/mu,
    );
    await run('debugfs', ['-w', '-R', 'sif <2> mode 0100755', rootfs]);
    const corrupt = await failToBuild(home, 'corrupt', ['--size', '32M']);
    expect(corrupt).toMatchObject({ code: 'corrupt', exit_code: 11 });
    for (const { log_path: log = '', message, hints } of [...errors, corrupt]) {
      expect(hints).toContain(`less ${log}`);
      expect(await readFile(log, 'utf8')).toContain(`failed: ${message.split('\n')[0]}`);
    }

    const logs = join(home.stateDir, 'image-build');
    await run('rm', ['-r', logs]);
    await home.write('.local/state/banger/image-build', 'in the way');
    const refused = await failToBuild(home, 'unlogged', []);
    expect(refused).toMatchObject({ code: 'preflight_failed', exit_code: 6 });
    expect(refused.message).toContain(logs);
    await run('rm', [logs]);
  });
});
