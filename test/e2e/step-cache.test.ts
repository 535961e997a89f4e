import { existsSync, readdirSync, statSync } from 'node:fs';
import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject } from 'vitest';
import { canReflink } from '../../src/lib/system/filesystem.ts';
import { run } from '../../src/lib/system/process.ts';
import { type BuiltImage, buildArguments, makeBase, until, untilPrinted } from '../support/builds.ts';
import { type CliOptions, type Home, testAccounts } from '../support/cli.ts';
import { holdTool, replaceTool, withTools } from '../support/fake-tool.ts';
import { test } from '../support/fixtures.ts';
import { sql } from '../support/registry.ts';
import { inspectKernel } from '../support/verifier-kernel.ts';
import { mountExt4, mountXfs } from '../support/xfs.ts';

interface Step {
  stage: string;
  title: string;
  cached: boolean;
  reason: string | null;
}

interface Listing {
  steps: { id: string; title: string; kind: string; bytes: number; in_use: boolean }[];
  mounts: Mount[];
  total_bytes: number;
  mounts_bytes: number;
  limit_bytes: number;
}

interface Mount {
  id: string;
  kind: 'mount';
  title: string;
  bytes: number;
  in_use: boolean;
  used_at: string;
}

interface Pruned {
  mounts: Mount[];
  left_bytes: number;
}

type Built = BuiltImage & { steps: Step[] };

/** Each step of a build, as `title: kept`, or why it was not. */
async function build(
  home: Home,
  name: string,
  steps: readonly string[],
  options?: CliOptions,
): Promise<string[]> {
  const { status, document } = await home.json<Built>(buildArguments(name, ...steps), options);
  expect([status, JSON.stringify(document)]).toEqual([0, expect.any(String)]);
  return document.steps
    .filter(({ title }) => title !== 'preset packages' && title !== 'kernel modules')
    .map(({ title, cached, reason }) => `${title}: ${cached ? 'kept' : reason}`);
}

async function cat(home: Home, name: string, path: string): Promise<string> {
  const { document } = await home.json<BuiltImage>(['image', 'show', name]);
  return (await run('debugfs', ['-R', `cat ${path}`, document.rootfs_path])).stdout;
}

async function cacheOf(home: Home, options?: CliOptions): Promise<Listing> {
  return (await home.json<Listing>(['cache', 'list'], options)).document;
}

const COUNT = 'echo x >>/root/times';

describe.each(testAccounts())('as $label', (account) => {
  test('a step that was done is not done again, nor are those before one that has changed', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const first = ['--run', 'cat /proc/sys/kernel/random/uuid >/one'];
    expect(await build(home, 'a', [...first, '--run', 'cat /proc/sys/kernel/random/uuid >/two'])).toEqual([
      'run cat /proc/sys/kernel/random/uuid >/one: a step before it ran',
      'run cat /proc/sys/kernel/random/uuid >/two: a step before it ran',
    ]);
    expect(await build(home, 'b', [...first, '--run', 'cat /proc/sys/kernel/random/uuid >/two'])).toEqual([
      'run cat /proc/sys/kernel/random/uuid >/one: kept',
      'run cat /proc/sys/kernel/random/uuid >/two: kept',
    ]);
    expect(await cat(home, 'b', '/two')).toBe(await cat(home, 'a', '/two'));
    expect(await build(home, 'c', [...first, '--run', 'cat /proc/sys/kernel/random/uuid >/three'])).toEqual([
      'run cat /proc/sys/kernel/random/uuid >/one: kept',
      expect.stringMatching(/^run cat \/proc\/sys\/kernel\/random\/uuid >\/three: /u),
    ]);
    expect(await cat(home, 'c', '/one')).toBe(await cat(home, 'a', '/one'));
    expect(await cat(home, 'c', '/two')).toBe('');
    expect(
      await build(home, 'd', [...first, '--run', 'cat /proc/sys/kernel/random/uuid >/two'], {
        env: { LANG: 'C' },
      }),
    ).toEqual([expect.stringMatching(/: kept$/u), expect.stringMatching(/: kept$/u)]);
    await home.ok(['check', '--deep']);
  });

  test('what a step reads decides, and never when it was written', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const file = await home.write('files/text', 'one');
    const steps = [
      '--run',
      COUNT,
      '--copy',
      `${home.directory}/files:/files`,
      '--env',
      'A=1',
      '--run',
      COUNT,
    ];
    const kept = (lines: readonly string[]): boolean[] => lines.map((line) => line.endsWith(': kept'));
    expect(kept(await build(home, 'a', steps))).toEqual([false, false, false]);
    await utimes(file, 1, 1);
    expect(kept(await build(home, 'b', steps))).toEqual([true, true, true]);
    await home.write('files/text', 'two');
    const changed = await build(home, 'c', steps);
    expect(kept(changed).slice(1)).toEqual([false, false]);
    expect(await cat(home, 'c', '/files/text')).toBe('two');
    // Once for each step of the same text: it is what it stands on that makes it another one.
    expect(await cat(home, 'c', '/root/times')).toBe('x\nx\n');
    const other = steps.map((word) => (word === 'A=1' ? 'A=2' : word));
    const env = await build(home, 'd', other);
    expect(env.at(-1)).toBe(`run ${COUNT}: changed: env A`);
    await home.json(['image', 'delete', 'a', '--yes']);
    expect(kept(await build(home, 'a', steps))).toEqual([true, true, true]);
  });

  test('nothing of it is used where everything is to be new', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const steps = [
      '--run',
      'cat /proc/sys/kernel/random/uuid >/one',
      '--run',
      ': apt-get; cat /proc/sys/kernel/random/uuid >/two',
    ];
    await build(home, 'a', steps);
    expect(await build(home, 'b', [...steps, '--no-cache'])).toEqual([
      'run cat /proc/sys/kernel/random/uuid >/one: a step before it ran',
      'run : apt-get; cat /proc/sys/kernel/random/uuid >/two: a step before it ran',
    ]);
    expect(await cat(home, 'b', '/one')).not.toBe(await cat(home, 'a', '/one'));
    await build(home, 'c', [...steps, '--refresh']);
    expect(await cat(home, 'c', '/two')).not.toBe(await cat(home, 'b', '/two'));
    // What was done anew is what counts from now on.
    await build(home, 'd', steps);
    expect(await cat(home, 'd', '/two')).toBe(await cat(home, 'c', '/two'));
  });

  test('what was made from what is done anew is done again, if the build failed in between', async ({
    makeHome,
  }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const flag = await home.write('context/flag', 'good');
    const recipe = await home.write(
      'context/Containerfile',
      `FROM base AS first
RUN cat /proc/sys/kernel/random/uuid >/one # apt-get
RUN --mount=type=secret,id=flag grep good /run/secrets/flag
RUN cp /one /two
FROM base
COPY --from=first /two /three
RUN cp /three /four
`,
    );
    const steps = ['--file', recipe, '--preset', 'none', '--secret', `id=flag,src=${flag}`];
    const args = (name: string): string[] => ['image', 'build', name, '--json', ...steps];
    await home.ok(args('a'));
    await writeFile(flag, 'bad');
    expect((await home.run([...args('b'), '--refresh'])).status).toBe(8);
    await writeFile(flag, 'good');
    await home.ok(args('b'));
    const [one, two] = [await cat(home, 'a', '/four'), await cat(home, 'b', '/four')];
    expect([one, two]).toEqual([expect.stringMatching(/-/u), expect.stringMatching(/-/u)]);
    expect(two).not.toBe(one);
    await home.ok(['check', '--deep']);
    await home.verify();
  });

  test('a build that failed is taken up at the step that failed', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const flag = await home.write('flag', 'bad');
    const steps = [
      '--run',
      'cat /proc/sys/kernel/random/uuid >/one',
      '--copy',
      `${flag}:/flag`,
      '--run',
      'grep good /flag',
    ];
    const { status, document } = await home.json<{ error: { exit_code: number } }>(
      buildArguments('a', ...steps),
    );
    expect([status, document.error.exit_code]).toEqual([8, 8]);
    await home.verify();
    await writeFile(flag, 'good');
    expect((await build(home, 'a', steps))[0]).toBe('run cat /proc/sys/kernel/random/uuid >/one: kept');
  });

  test('a step that somebody wrote to is not used, and check tells', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const steps = ['--run', 'cat /proc/sys/kernel/random/uuid >/one'];
    await build(home, 'a', steps);
    const { steps: all } = await cacheOf(home);
    for (const { id } of all) await utimes(join(home.stateDir, 'steps', id, 'rootfs.ext4'), 1, 1);
    const { status, stdout } = await home.run(['check']);
    expect(status).toBe(11);
    expect(stdout).toContain('is of no use: its files were written to');
    expect(await build(home, 'b', steps)).not.toContain('run cat /proc/sys/kernel/random/uuid >/one: kept');
    await home.ok(['check', '--repair']);
    await home.ok(['check', '--deep']);
    expect(existsSync(join(home.stateDir, 'steps', all[0]?.id ?? ''))).toBe(false);
    await home.verify();
  });
});

describe('the cache', () => {
  const [account] = testAccounts();
  if (account === undefined) throw new Error('there is no account to test as');

  test('is listed, shown and pruned', async ({ makeHome }) => {
    const home = await makeHome(account);
    expect(await cacheOf(home)).toMatchObject({ steps: [], total_bytes: 0 });
    expect(await home.ok(['cache', 'prune'])).toBe('nothing to remove; 0 B are kept\n');
    await makeBase(home);
    await build(home, 'a', ['--run', 'id', '--env', 'A=b', '--run', 'true']);
    const { steps, total_bytes } = await cacheOf(home);
    expect(steps.map(({ kind }) => kind)).toContain('result');
    const [{ id = '' } = {}] = steps;
    expect(await home.ok(['cache', 'list'])).toContain(id.slice(0, 12));
    const shown = await home.ok(['cache', 'show', id.slice(0, 6)]);
    expect(shown).toMatch(/^id +[0-9a-f]{32}\nstep +run true\n/u);
    expect(await home.fails(3, ['cache', 'show', 'ffff-none'])).toContain("no kept step 'ffff-none'");
    const plan = await home.ok(['cache', 'prune', '--dry-run']);
    expect(plan).toMatch(/^would remove [0-9a-f]{12} .*\n.* in all, 0 B left\n$/su);
    expect((await cacheOf(home)).steps.length).toBe(steps.length);
    expect(await home.ok(['cache', 'prune', '--unused-for', '1d'])).toMatch(/^nothing to remove/u);
    const { document } = await home.json<{ freed_bytes: number }>(['cache', 'prune']);
    expect(document.freed_bytes).toBe(total_bytes);
    expect(readdirSync(join(home.stateDir, 'steps'))).toEqual([]);
    await home.ok(['image', 'list']);
    await home.ok(['check', '--deep']);
  });

  test('never takes more than its limit, and loses what was used longest ago', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    await home.write('.config/banger/config.toml', 'cache_limit = "24M"\n');
    for (const name of ['a', 'b', 'c', 'd']) {
      await build(home, name, ['--run', `head -c 6000000 /dev/urandom >/${name}`, '--run', 'true']);
      const { total_bytes, limit_bytes } = await cacheOf(home);
      expect(limit_bytes).toBe(24 * 2 ** 20);
      expect(total_bytes).toBeLessThanOrEqual(limit_bytes);
      expect(allocatedOnce(join(home.stateDir, 'steps'))).toBeLessThanOrEqual(limit_bytes);
      await home.verify();
    }
    const titles = (await cacheOf(home)).steps.map(({ title }) => title);
    expect(titles.length).toBeGreaterThan(0);
    expect(titles.join()).not.toContain('>/a');
    await home.write('.config/banger/config.toml', 'cache_limit = 0\n');
    const before = (await cacheOf(home)).steps.length;
    await build(home, 'e', ['--run', 'true']);
    expect((await cacheOf(home)).steps.length).toBe(before);
  });

  test('keeps only what took longer than a copy, where that is wanted', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    await replaceTool(home, 'cp', 'sleep 1.5; exec $REAL "$@"');
    const steps = ['--run', 'echo at once', '--run', 'sleep 5', '--run', 'echo last'];
    const options = { env: withTools(home) };
    await home.write('.config/banger/config.toml', 'cache_copies = "worthwhile"\n');
    await build(home, 'a', steps, options);
    const titles = (await cacheOf(home)).steps
      .filter(({ kind }) => kind === 'step')
      .map(({ title }) => title);
    // Where extents are shared, nothing is copied.
    const cheap = (await canReflink(home.directory)) ? ['run echo last', 'run echo at once'] : [];
    expect(titles.filter((title) => title.startsWith('run')).sort()).toEqual(
      ['run sleep 5', ...cheap].sort(),
    );
  });

  test('may drop its names of a base while that is being copied', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    await build(home, 'managed', ['--run', 'true']);
    const cp = await holdTool(home, 'cp');
    const above = home.start(['image', 'build', 'above', '--from-image', 'managed', '--quiet'], {
      env: cp.env,
    });
    await cp.called();
    expect(await home.ok(['cache', 'prune'])).toContain('0 B left');
    await cp.release();
    expect(await above.result).toMatchObject({ status: 0 });
  });

  test('killed while a step is being kept, leaves nothing but what was there', async ({ makeHome }) => {
    const home = await makeHome(account);
    const { rootfs, kernel } = await makeBase(home);
    for (const [index, when] of [1, 2].entries()) {
      for (const where of ['delay_enter', 'delay_exit']) {
        const name = `killed-${index}-${where.replace('_', '-')}`;
        const inject = `inject=rename:${where}=3600000000:when=${when}`;
        const under = ['strace', ...['-o', '/dev/null'], ...['-e', 'trace=rename'], ...['-e', inject]];
        const step = `echo ${name} >/name`;
        const running = home.start(buildArguments(name, '--run', step, '--run', 'id', '--run', 'true'), {
          under,
        });
        await until('a step on its way', () => coming(home).length > 0);
        process.kill(-running.pid, 'SIGKILL');
        await running.result;
        await until(`nothing left of ${name}`, () => inspectKernel(home.stateDir).length === 0);
        await home.ok([
          'image',
          'register',
          `after-${name}`,
          ...['--rootfs', rootfs],
          ...['--kernel', kernel],
        ]);
        await home.verify();
        expect(coming(home)).toEqual([]);
      }
    }
  });

  function coming(home: Home): unknown[] {
    return sql(home, "SELECT id FROM cached_steps WHERE state <> 'kept'");
  }

  test.runIf(inject('testRun').root)(
    'leaves room for the build, where copies are made in full',
    async ({ makeHome }) => {
      const home = await makeHome(account);
      const ext4 = await mountExt4(80, account);
      const options = { env: { BANGER_STATE_DIR: join(ext4.directory, 'state') } };
      try {
        const { rootfs, kernel } = await makeBase(home, { sizeMiB: 64 });
        await home.ok(['image', 'register', 'base', '--rootfs', rootfs, '--kernel', kernel], options);
        const fill = ['one', 'two'].flatMap((name) => ['--run', `head -c 14000000 /dev/urandom >/${name}`]);
        const { status, stderr } = await home.run(buildArguments('a', ...fill, '--run', 'true'), options);
        const tooLittle = /'run .* >\/two' is not kept: .*(?:are wanted|no space left) on the filesystem at/u;
        expect([status, stderr]).toEqual([0, expect.stringMatching(tooLittle)]);
        const titles = (await cacheOf(home, options)).steps.map(({ title }) => title).join();
        expect(titles).toContain('>/one');
        expect(titles).not.toContain('>/two');
        await home.ok(['check', '--deep'], options);
      } finally {
        await ext4.remove();
      }
    },
  );

  test.runIf(inject('testRun').root)('shares what it can share', async ({ makeHome }) => {
    const home = await makeHome(account);
    const xfs = await mountXfs(600, account);
    const options = { env: { BANGER_STATE_DIR: join(xfs.directory, 'state') } };
    try {
      const { rootfs, kernel } = await makeBase(home);
      await home.ok(['image', 'register', 'base', '--rootfs', rootfs, '--kernel', kernel], options);
      await home.ok(['image', 'promote', 'base'], options);
      const steps = ['one', 'two', 'three'].flatMap((name) => [
        '--run',
        `head -c 1000000 /dev/urandom >/${name}`,
      ]);
      await build(home, 'a', steps, options);
      const { steps: kept, total_bytes } = await cacheOf(home, options);
      // Each step, the preparation before them, and the result.
      expect(kept.length).toBe(5);
      const apparent = kept.length * statSync(rootfs).blocks * 512;
      expect(total_bytes).toBeLessThan(apparent);
      expect((await build(home, 'b', steps, options)).every((line) => line.endsWith(': kept'))).toBe(true);
      await home.ok(['image', 'delete', 'a', '--purge', '--yes'], options);
      await home.ok(['check', '--deep'], options);
    } finally {
      await xfs.remove();
    }
  });
});

describe.each(testAccounts())('what is kept of mounts, as $label', (account) => {
  test('is listed and pruned, whoever it belongs to, but for what a build uses', async ({ makeHome }) => {
    const home = await makeHome(account);
    await makeBase(home);
    const wait = 'while ! [ -e /used/go ]; do sleep 0.1; done';
    const recipe = await home.write(
      'context/Containerfile',
      [
        'FROM base',
        'RUN --mount=type=cache,id=things,target=/things busybox mkdir -m 700 /things/deep; busybox dd if=/dev/zero of=/things/deep/file bs=65536 count=4; busybox chown -R 100:100 /things/deep; busybox chmod 555 /things',
        `RUN --mount=type=cache,id=used,target=/used echo "in $((1+1)) steps"; ${wait}`,
        '',
      ].join('\n'),
    );
    const building = home.start([
      ...['image', 'build', 'a', '--file', recipe, join(recipe, '..'), '--no-cache'],
    ]);
    await untilPrinted(home, 'in 2 steps');
    const { mounts, mounts_bytes } = await cacheOf(home);
    expect(mounts.map(({ kind, title, in_use }) => [kind, title, in_use]).sort()).toEqual([
      ['mount', 'things', false],
      ['mount', 'used', true],
    ]);
    expect(mounts_bytes).toBeGreaterThanOrEqual(4 * 65536);
    expect(Date.now() - Date.parse(mounts[0]?.used_at ?? '')).toBeLessThan(60_000);
    expect(await home.ok(['cache', 'list'])).toMatch(/^[0-9a-f]{12} .* things$/mu);
    expect(await home.ok(['cache', 'prune', '--unused-for', '1d'])).toMatch(/^nothing to remove/u);
    expect(await home.ok(['cache', 'prune', '--to', '1G'])).toMatch(/^nothing to remove/u);
    const { document: plan } = await home.json<Pruned>(['cache', 'prune', '--dry-run']);
    const { document: done } = await home.json<Pruned>(['cache', 'prune']);
    for (const pruned of [plan, done]) expect(pruned.mounts.map(({ title }) => title)).toEqual(['things']);
    expect(done.left_bytes).toBeGreaterThan(0);
    expect((await cacheOf(home)).mounts.map(({ title }) => title)).toEqual(['used']);
    const used = mounts.find(({ title }) => title === 'used')?.id ?? '';
    await writeFile(join(home.stateDir, 'mounts', used, 'go'), '');
    expect((await building.result).status).toBe(0);
    expect((await home.json<Pruned>(['cache', 'prune'])).document.left_bytes).toBe(0);
    expect(await cacheOf(home)).toMatchObject({ steps: [], mounts: [], mounts_bytes: 0 });
    await home.ok(['check']);
  });
});

/** What the files of a directory take, each once, however many names it has; in bytes. */
function allocatedOnce(directory: string): number {
  const seen = new Map<number, number>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const { ino, blocks } = statSync(join(entry.parentPath, entry.name));
    seen.set(ino, blocks * 512);
  }
  return [...seen.values()].reduce((sum, bytes) => sum + bytes, 0);
}
