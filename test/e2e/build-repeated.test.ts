import { execFileSync } from 'node:child_process';
import { chmod, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { type BuiltImage, buildArguments, type Failure, makeBase } from '../support/builds.ts';
import { test } from '../support/fixtures.ts';
import { sql } from '../support/registry.ts';

const { user } = inject('testRun');

interface Built extends BuiltImage {
  outcome: string;
  generation: number;
  recipe_digest: string | null;
  operation_id: string | null;
  log_path: string | null;
  stages: Record<string, number>;
}

const web = (...flags: string[]): string[] => buildArguments('web', '--no-ssh', '--replace', ...flags);

test('an image that is young enough is left alone', async ({ makeHome }) => {
  const home = await makeHome(user);
  await makeBase(home);
  const { document: first } = await home.json<Built>(web('--if-older', '7d'));
  expect(first).toMatchObject({ outcome: 'built', generation: 1 });
  const again = await home.run(web('--if-older', '7d'));
  expect(again.stdout).toMatch(/^web \([0-9a-f]{12}\) is fresh: generation 1, made just now\n$/u);
  expect([again.status, again.stderr]).toEqual([0, '']);
  const { document: fresh } = await home.json<Built>(web('--if-older', '7d'));
  expect(fresh).toMatchObject({
    outcome: 'fresh',
    id: first.id,
    operation_id: null,
    log_path: null,
    stages: {},
  });
  sql(home, "UPDATE images SET created_at = '2020-01-01T00:00:00.000Z' WHERE name = 'web'");
  const { document: second } = await home.json<Built>(web('--if-older', '7d'));
  expect(second).toMatchObject({ outcome: 'built', generation: 2 });
  expect(sql(home, "SELECT count(*) AS n FROM operations WHERE kind = 'build'")).toEqual([{ n: 2 }]);
});

test('an image that the same recipe, inputs and base would make again is left alone', async ({
  makeHome,
}) => {
  const home = await makeHome(user);
  const { rootfs, kernel } = await makeBase(home);
  const site = join(home.directory, 'site');
  await home.write('site/index.html', 'one');
  await home.write('site/.dockerignore', 'late.html');
  const script = await home.write('setup.sh', '#!/bin/sh\necho ready');
  const recipe = ['--copy', `${site}:/srv`, '--script', script, '--env', 'A=b', '--run', 'true'];
  const outcomes: string[] = [];
  const again = async (...flags: string[]): Promise<Built> => {
    const { document } = await home.json<Built>(web(...recipe, '--if-changed', ...flags));
    outcomes.push(document.outcome);
    return document;
  };
  const first = await again();
  expect(first).toMatchObject({ outcome: 'built', recipe_digest: expect.stringMatching(/^[0-9a-f]{64}$/u) });
  expect((await again()).id).toBe(first.id);
  // A new time is no change; content is, and so is a mode, a file more, another option, another base.
  await utimes(join(site, 'index.html'), new Date(), new Date(0));
  await again();
  expect(outcomes.splice(0)).toEqual(['built', 'fresh', 'fresh']);
  await writeFile(join(site, 'index.html'), 'two');
  await again();
  await chmod(script, 0o755);
  await again();
  // What a list leaves out of a context is copied all the same.
  await home.write('site/late.html', 'late');
  await again();
  await again('--size', '32M');
  await again('--size', '32M');
  expect(outcomes.splice(0)).toEqual(['built', 'built', 'built', 'built', 'fresh']);
  await home.ok(['image', 'rollback', 'web']);
  await again();
  await utimes(rootfs, new Date(), new Date(0));
  await home.ok(['image', 'register', 'base', '--rootfs', rootfs, '--kernel', kernel]);
  await again();
  expect(outcomes.splice(0)).toEqual(['fresh', 'built']);
  // Young enough and unchanged; or too old.
  await again('--if-older', '7d');
  sql(home, "UPDATE images SET created_at = '2020-01-01T00:00:00.000Z' WHERE name = 'web'");
  await again('--if-older', '7d');
  expect(outcomes).toEqual(['fresh', 'built']);
});

test('where an input cannot be known, a build is never taken for the same', async ({ makeHome }) => {
  const home = await makeHome(user);
  await makeBase(home);
  await home.write('tree/file', 'x');
  execFileSync('mkfifo', [join(home.directory, 'tree/pipe')]);
  const args = web('--if-changed', '--copy', `${join(home.directory, 'tree')}:/tree`);
  for (const generation of [1, 2]) {
    const { document } = await home.json<Built>(args);
    expect(document).toMatchObject({ outcome: 'built', generation, recipe_digest: null });
  }
});

test('flags that say nothing without --replace, or nothing at all, are refused', async ({ makeHome }) => {
  const home = await makeHome(user);
  await makeBase(home);
  for (const flags of [['--if-changed'], ['--if-older', '7d'], ['--wait', '1m'], ['--no-wait']]) {
    expect(await home.fails(2, buildArguments('web', ...flags))).toContain('--replace');
  }
  expect(await home.fails(2, web('--wait', '1m', '--no-wait'))).toContain('--no-wait');
  expect(await home.fails(2, web('--if-older', 'a week'))).toContain("'a week' is not a span of time");
});

test('one document tells what became of a build, how long it took and where its log is', async ({
  makeHome,
}) => {
  const home = await makeHome(user);
  await makeBase(home);
  const { document } = await home.json<Built>(web());
  expect(document.outcome).toBe('built');
  expect(Object.keys(document.stages)).toEqual([
    ...['resolve_image', 'launch_builder', 'prepare_work_seed', 'write_metadata'],
    ...['activate_artifacts', 'persisted'],
  ]);
  for (const milliseconds of Object.values(document.stages)) expect(milliseconds).toBeGreaterThanOrEqual(0);
  const [operation] = sql(home, "SELECT id, log_path FROM operations WHERE kind = 'build'");
  expect(operation).toEqual({ id: document.operation_id, log_path: document.log_path });
  const failed = await home.json<Failure & { outcome: string }>(web('--run', 'exit 3'));
  expect(failed).toMatchObject({
    status: 8,
    document: { outcome: 'failed', error: { code: 'step_failed', log_path: expect.any(String) } },
  });
});

test('progress for programs is an object a line, the failure too', async ({ makeHome }) => {
  const home = await makeHome(user);
  await makeBase(home);
  const events = (text: string): { event: string; stage?: string; error?: { code: string } }[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  const built = await home.run(web('--progress', 'json'));
  expect(built.stdout).toMatch(/^built web /u);
  const told = events(built.stderr);
  expect(told.filter(({ event }) => event === 'finished').map(({ stage }) => stage)).toContain(
    'launch_builder',
  );
  const failed = await home.run(web('--progress', 'json', '--run', 'exit 3'));
  expect(failed.status).toBe(8);
  expect(events(failed.stderr).at(-1)).toMatchObject({ event: 'failed', error: { code: 'step_failed' } });
  expect((await home.run(web('--progress', 'none'))).stderr).toBe('');
  expect((await home.run(web('--progress', 'live'))).stderr).toContain('launch_builder ...');
});

test('the log is written where it is asked for, too', async ({ makeHome }) => {
  const home = await makeHome(user);
  await makeBase(home);
  const copy = join(home.directory, 'web.log');
  const { document } = await home.json<Built>(web('--run', 'echo hello', '--log-file', copy));
  expect(await readFile(copy, 'utf8')).toBe(await readFile(document.log_path ?? '', 'utf8'));
  expect(await readFile(copy, 'utf8')).toContain('hello');
  await home.json<Built>(web('--run', 'echo again', '--log-file', copy));
  expect(await readFile(copy, 'utf8')).toMatch(/hello.*again/su);
  const refused = await home.fails(6, web('--log-file', join(home.directory, 'no/such/place')));
  expect(refused).toMatch(/log: .*no\/such\/place cannot be written/u);
});
