import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { holdLock } from '../../../src/lib/system/held-lock.ts';
import { run } from '../../../src/lib/system/process.ts';
import { testAccounts } from '../../support/cli.ts';
import { makeRootfs } from '../../support/images.ts';
import { StepBox } from '../../support/step-box.ts';

const SECRET = 'hunter22-hunter22-hunter22';

async function makeBase(): Promise<string> {
  const directory = await mkdtemp(join(inject('testRun').directory, 'base-'));
  chmodSync(directory, 0o755);
  const base = await makeRootfs(join(directory, 'base.ext4'), {
    files: { 'opt/app/one': '1', 'opt/app/sub/two': '2', 'opt/app/x.log': 'log', 'etc/conf': 'conf' },
  });
  const requests = [
    'sif /opt/app/one uid 1234',
    'sif /opt/app/one gid 1235',
    'sif /opt/app/sub/two mode 0104755',
    'symlink /opt/link /etc/../../../../opt/app',
    'symlink /opt/app/out /etc/conf',
    'ea_set /opt/app/sub/two user.note hello',
  ];
  for (const request of requests) await run('debugfs', ['-w', '-R', request, base]);
  // debugfs makes nodes where it is, whatever their names.
  const commands = join(directory, 'commands');
  writeFileSync(commands, 'cd /opt/app\nmknod pipe p\n');
  await run('debugfs', ['-w', '-f', commands, base]);
  chmodSync(base, 0o644);
  return base;
}

let base: string;
beforeAll(async () => {
  base = await makeBase();
});

describe.each(testAccounts())('a mount of RUN of $label', (account) => {
  let box: StepBox;
  beforeAll(async () => {
    box = await StepBox.open(account, {
      context: {
        'plain/file': 'plain',
        'mixed/seen': 'seen',
        'mixed/sub/seen': 'too',
        'mixed/hidden': 'hidden',
        'a*': 'star',
        '.dockerignore': 'mixed/hidden\n',
      },
      images: { base },
      env: { TOKEN: SECRET },
      secrets: ['id=token,env=TOKEN', 'id=empty,env=HOME'],
    });
  });
  afterAll(() => box.remove());

  const output = async (mount: string, command: string): Promise<string> => {
    await box.steps(`RUN ${mount} ${command} >/out`);
    return box.sh('cat /out; rm /out');
  };

  test('shows what the context has, read-only', async () => {
    const script = "sh -c 'cat /m/file; ! echo x >/m/new'";
    expect(await output('--mount=target=/m,source=plain', script)).toBe('plain');
    expect(await output('--mount=target=/m/f,source=a*', 'cat /m/f')).toBe('star');
    expect(await box.sh('ls -d /m || echo gone')).toContain('gone');
    expect(readdirSync(box.path('scratch'))).toEqual([]);
  });

  test('never shows what is left out of the context', async () => {
    expect(await output('--mount=target=/m,source=mixed', 'cat /m/seen /m/sub/seen')).toBe('seentoo');
    expect(await output('--mount=target=/m', 'ls /m/mixed')).toBe('seen\nsub\n');
    expect(await box.refused('RUN --mount=target=/m,source=mixed/hidden true')).toMatchObject({
      code: 'preflight_failed',
    });
  });

  test('throws away what is written to it', async () => {
    const script = "sh -c 'echo x >/m/file; cat /m/file'";
    expect(await output('--mount=target=/m,source=plain,rw', script)).toBe('x\n');
    expect(readFileSync(box.path('context/plain/file'), 'utf8')).toBe('plain');
    expect(readdirSync(box.path('scratch'))).toEqual([]);
  });

  test('shows a directory of an image with its owners, or a file', async () => {
    const listing = 'sh -c \'cd /m; stat -c "%a %u:%g %n" one sub/two; cat out\'';
    await box.sh('echo own >/etc/conf');
    for (const source of ['opt/app', 'opt/link']) {
      expect(await output(`--mount=from=base,source=${source},target=/m`, listing)).toBe(
        '644 1234:1235 one\n4755 0:0 sub/two\nown\n',
      );
    }
    expect(await output('--mount=from=base,source=etc/conf,target=/m', 'cat /m')).toBe('conf');
    expect(await box.refused('RUN --mount=from=base,source=none,target=/m true')).toMatchObject({
      code: 'preflight_failed',
      message: expect.stringContaining("(line 2): 'none' is not where"),
    });
    expect(readdirSync(box.path('scratch'))).toEqual([]);
  });

  test('is empty memory of a size', async () => {
    const script = 'sh -c \'mount | busybox grep -c "on /m .*size=1024k"; ls /m; echo x >/m/x\'';
    expect(await output('--mount=type=tmpfs,target=/m,size=1m', script)).toBe('1\n');
    expect(await output('--mount=type=tmpfs,target=/tmp', "sh -c 'touch /tmp/gone'")).toBe('');
    expect(await box.sh('ls /tmp')).toBe('');
  });

  test('is a cache that outlives the command', async () => {
    const cache = '--mount=type=cache,target=/deep/cache,id=one';
    await box.steps(`RUN ${cache} echo kept >/deep/cache/file`);
    expect(await output('--mount=type=cache,target=/other,id=one', 'cat /other/file')).toBe('kept\n');
    expect(await output('--mount=type=cache,target=/deep/cache', 'ls /deep/cache')).toBe('');
    const readonly = "sh -c '! touch /deep/cache/x'";
    expect(await output(`${cache},ro`, readonly)).toBe('');
    expect(await box.sh('ls -d /deep || echo gone')).toContain('gone');
    const owned = '--mount=type=cache,target=/m,id=owned,mode=2750,uid=1000,gid=1001';
    expect(await output(owned, 'stat -c "%a %u:%g" /m')).toBe('2750 1000:1001\n');
    const filled = '--mount=type=cache,target=/m,id=filled,from=base,source=opt/app/sub';
    expect(await output(filled, "sh -c 'cat /m/two; rm /m/two'")).toBe('2');
    expect(await output(filled, 'ls /m')).toBe('');
  });

  test('is a cache that begins anew where making it was interrupted', async () => {
    const aside = `${createHash('sha256').update('half').digest('hex')}.new`;
    await run('mkdir', ['-p', box.path(`mounts/${aside}/junk`)]);
    await run('chown', ['-R', `${account.uid}:${account.gid}`, box.path(`mounts/${aside}`)]);
    expect(await output('--mount=type=cache,target=/m,id=half', 'ls /m')).toBe('');
    expect(readdirSync(box.path('mounts'))).not.toContain(aside);
  });

  test('is a cache of which each command has its own at the same time', async () => {
    const cache = '--mount=type=cache,target=/m,id=private,sharing=private';
    await box.steps(`RUN ${cache} echo first >/m/file`);
    const [name = ''] = readdirSync(box.path('mounts')).filter((file) => file.endsWith('.lock'));
    const names = readdirSync(box.path('mounts'));
    const signal = new AbortController().signal;
    const locks = [];
    for (const file of names.filter((one) => one.endsWith('.lock'))) {
      locks.push(await holdLock(box.path(`mounts/${file}`), { shared: false, wait: false, signal }));
    }
    expect(locks).not.toContain(null);
    expect(name).not.toBe('');
    expect(await output(cache, "sh -c 'ls /m; echo second >/m/file'")).toBe('');
    for (const lock of locks) await lock?.release();
    expect(await output(cache, 'cat /m/file')).toBe('first\n');
  });

  test('waits for a cache that is locked, and says so', async () => {
    const cache = '--mount=type=cache,target=/m,id=locked,sharing=locked';
    await box.steps(`RUN ${cache} true`);
    const locks = readdirSync(box.path('mounts')).filter((file) => file.endsWith('.lock'));
    const signal = new AbortController().signal;
    const held = await Promise.all(
      locks.map((file) => holdLock(box.path(`mounts/${file}`), { shared: false, wait: false, signal })),
    );
    let isDone = false;
    const done = box.steps(`RUN ${cache} echo done >/out`).then(() => {
      isDone = true;
    });
    await sleep(500);
    expect(isDone).toBe(false);
    expect(box.log).toContain('waiting for the cache locked, which another command uses');
    for (const lock of held) await lock?.release();
    await done;
    expect(await box.sh('cat /out; rm /out')).toBe('done\n');
  });

  test('is a secret that nothing keeps', async () => {
    const seen = `sh -c 'stat -c "%a %u:%g" "$1"; busybox sha256sum <"$1"' sh`;
    const digest = (await run('sh', ['-c', 'printf %s "$0" | sha256sum', SECRET])).stdout;
    expect(await output('--mount=type=secret,id=token', `${seen} /run/secrets/token`)).toBe(
      `400 0:0\n${digest}`,
    );
    const owned = '--mount=type=secret,id=token,target=/etc/deep/token,mode=0440,uid=1000,gid=50';
    expect(await output(owned, `${seen} /etc/deep/token`)).toBe(`440 1000:50\n${digest}`);
    await box.sh('touch /out; chmod 666 /out');
    await box.steps(`USER 1000\nRUN ${owned} busybox sha256sum </etc/deep/token >/out`);
    expect(await box.sh('cat /out; rm /out; ls -d /etc/deep || echo gone')).toMatch(/^\w{64} {2}-\n.*gone/su);
    await box.sh('touch /out; chmod 666 /out');
    await box.steps(
      'USER 1000\nRUN --mount=type=secret,id=token,uid=1000 busybox sha256sum </run/secrets/token >/out',
    );
    expect(await box.sh('cat /out; rm /out')).toBe(digest);
    const variable = "sh -c 'printf %s $VALUE | busybox wc -c'";
    expect(await output('--mount=type=secret,id=token,env=VALUE', variable)).toBe(`${SECRET.length}\n`);
    expect(await output('--mount=type=secret,id=missing', 'ls /run')).not.toContain('secrets');
    expect(await box.refused('RUN --mount=type=secret,id=missing,required true')).toMatchObject({
      code: 'preflight_failed',
      message: expect.stringContaining("(line 2): the secret 'missing' was not given"),
    });
  });

  test('is a secret that no list of processes shows', async () => {
    const asleep = box.steps(
      'RUN --mount=type=secret,id=token,env=VALUE --mount=type=secret,id=token sleep 1.5',
    );
    let seen = '';
    for (let tries = 0; tries < 10; tries += 1) {
      await sleep(100);
      const { stdout } = await run('sh', ['-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null || true']);
      seen += stdout;
    }
    expect(seen).toContain('--args');
    expect(seen).not.toContain(SECRET);
    expect(seen).not.toContain(Buffer.from(SECRET).toString('base64').slice(0, 20));
    await asleep;
  });

  test('is a secret that no output shows', async () => {
    const encoded = Buffer.from(SECRET).toString('base64');
    const script = `cat $1; echo; echo "<$VALUE>"; busybox base64 $1; exit 3`;
    writeFileSync(box.path('context/tell'), script);
    const refused = await box.refused(
      `RUN --mount=type=secret,id=token,env=VALUE,target=/s --mount=target=/c,source=tell sh /c /s`,
    );
    expect(refused.message).toContain('***\n  | <***>\n  | ***');
    const everything = [JSON.stringify(refused), box.log, box.lines.join('\n')].join('\n');
    expect(everything).not.toContain(SECRET);
    expect(everything).not.toContain(encoded.slice(0, 20));
  });

  test('leaves a sound image, in which and beside which no secret is', async () => {
    await box.close();
    const { exitCode } = await run(
      'grep',
      [
        '-r',
        '-q',
        '-a',
        '-e',
        SECRET,
        '-e',
        Buffer.from(SECRET).toString('base64').slice(0, 20),
        box.directory,
      ],
      { okExit: 'any' },
    );
    expect(exitCode).toBe(1);
  });
});

describe.each(testAccounts())('COPY --from of $label', (account) => {
  let box: StepBox;
  beforeAll(async () => {
    box = await StepBox.open(account, { images: { base } });
  });
  afterAll(() => box.remove());
  const result = async (text: string): Promise<string[]> => {
    await box.steps(text);
    const tree = await box.tree('/t');
    await box.sh('rm -rf /t');
    return tree;
  };

  test.each([
    ['COPY --from=base /opt/app/one /t/', ['644 1234:1235 ./one = 1']],
    ['COPY --from=base --chown=7:8 opt/link/one /t/x', ['644 7:8 ./x = 1']],
    [
      'COPY --from=base --exclude=*.log /opt/app /t',
      ['644 1234:1235 ./one = 1', '777 0:0 ./out -> /etc/conf', '755 0:0 ./sub/', '4755 0:0 ./sub/two = 2'],
    ],
    ['COPY --from=base /opt/*/x.l?g /t/', ['644 0:0 ./x.log = log']],
    [
      'COPY --from=base --parents /opt/./app/sub /t/',
      ['755 0:0 ./app/', '755 0:0 ./app/sub/', '4755 0:0 ./app/sub/two = 2'],
    ],
  ])('%j', async (text, expected) => {
    const tree = await result(text);
    // A link's content is the guest's own.
    expect(tree.map((line) => line.replace(/ = (?:own|)$/u, ''))).toEqual(expected);
  });

  test('keeps hard links, and tells of what it leaves out', async () => {
    await box.steps('COPY --from=base /etc /t/etc\nCOPY --from=base /opt/app /t/app');
    expect(
      await box.sh('stat -c "%h %n" /t/etc/hostname; [ /t/etc/hostname -ef /t/etc/hostname.link ]'),
    ).toBe('2 /t/etc/hostname\n');
    await box.sh('rm -rf /t');
    expect(box.log).toContain('devices, FIFOs and sockets are left out: pipe');
    expect(await box.refused('COPY --from=base /none /opt/app /t/')).toMatchObject({
      code: 'preflight_failed',
    });
  });

  test('leaves a sound image', () => box.close());
});

test('a lock ends with its holder, and is waited for', async () => {
  const directory = await mkdtemp(join(inject('testRun').directory, 'lock-'));
  mkdirSync(join(directory, 'sub'));
  const path = join(directory, 'lock');
  const abort = new AbortController();
  const { signal } = abort;
  const shared = await holdLock(path, { shared: true, wait: false, signal });
  const other = await holdLock(path, { shared: true, wait: true, signal });
  expect(await holdLock(path, { shared: false, wait: false, signal })).toBeNull();
  await shared?.release();
  await other?.release();
  const alone = await holdLock(path, { shared: false, wait: false, signal });
  expect(await holdLock(path, { shared: true, wait: false, signal })).toBeNull();
  const waiting = holdLock(path, { shared: true, wait: true, signal });
  await sleep(50);
  abort.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await alone?.release();
  await expect(
    holdLock(join(directory, 'none/lock'), {
      shared: true,
      wait: false,
      signal: new AbortController().signal,
    }),
  ).rejects.toMatchObject({ code: 'tool_failed' });
});
