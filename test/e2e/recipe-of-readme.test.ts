import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, inject } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { REPOSITORY } from '../house/tracked-files.ts';
import { type BuiltImage, makeBase } from '../support/builds.ts';
import { test } from '../support/fixtures.ts';
import { readGuest } from '../support/guest-files.ts';
import { runAsOwner } from '../support/run-as-owner.ts';

/** The lines that a newcomer pastes. */
function recipe(): string {
  const readme = readFileSync(join(REPOSITORY, 'README.md'), 'utf8');
  const [, script] =
    /<!-- recipe:[^\n]*-->\n```sh\n([\s\S]*?)```\n<!-- end of the recipe -->/u.exec(readme) ?? [];
  if (script === undefined) throw new Error('README.md has no recipe');
  return script;
}

test('the recipe of the README is built as it is pasted', async ({ makeHome }) => {
  const home = await makeHome(inject('testRun').user);
  await makeBase(home);
  const { exitCode, stdout, stderr } = await runAsOwner(
    home,
    recipe().replace('FROM debian-base', 'FROM base'),
  );
  expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
  expect(stdout).toMatch(/^built hello .*\n/u);
  expect(stdout).toMatch(/RUN echo "\$GREETING" >\/etc\/motd +changed: build argument GREETING\n/u);
  const { document } = await home.json<BuiltImage & { labels: object }>(['image', 'show', 'hello']);
  expect(document.labels).toEqual({ purpose: 'demo' });
  expect(await readGuest(document.rootfs_path, '/etc/motd')).toBe('hello\n');
  expect(await readGuest(document.rootfs_path, '/srv/site/index.html')).toBe('Hello from a microVM\n');
  expect((await run('e2fsck', ['-fn', document.rootfs_path])).exitCode).toBe(0);
});
