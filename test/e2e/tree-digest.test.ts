import { utimesSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, inject } from 'vitest';
import { makeDisk, registerImage } from '../support/boot-files.ts';
import { build, makeBase } from '../support/builds.ts';
import { test } from '../support/fixtures.ts';

const { user } = inject('testRun');

interface Shown {
  tree_digest: string | null;
  tree_digest_epoch: number | null;
}

test('two builds of the same on one base have the same tree digest', async ({ makeHome }) => {
  const home = await makeHome(user);
  await makeBase(home);
  const digests: (string | null)[] = [];
  for (const name of ['one', 'two']) {
    await build(home, name, [
      '--no-ssh',
      '--run',
      'mkdir /made && echo text >/made/file && ln /made/file /made/again',
    ]);
    const { document } = await home.json<Shown>(['image', 'show', name, '--tree-digest']);
    digests.push(document.tree_digest);
  }
  expect(digests[0]).toMatch(/^[0-9a-f]{64}$/u);
  expect(digests[1]).toBe(digests[0]);
  await build(home, 'three', ['--no-ssh', '--run', 'mkdir /made && echo other >/made/file']);
  const { document } = await home.json<Shown>(['image', 'show', 'three', '--tree-digest']);
  expect(document.tree_digest).not.toBe(digests[0]);
});

test('a tree digest is remembered until the image changes', async ({ makeHome }) => {
  const home = await makeHome(user);
  const { kernel } = await registerImage(home, 'other');
  const rootfs = await makeDisk(home, 'disk.ext4', { file: 'text' });
  await home.ok(['image', 'register', 'one', '--rootfs', rootfs, '--kernel', kernel]);
  const show = async (...more: string[]): Promise<Shown> =>
    (await home.json<Shown>(['image', 'show', 'one', ...more])).document;
  expect(await show()).toMatchObject({ tree_digest: null, tree_digest_epoch: null });
  // What changed a moment ago might change again without a trace.
  await sleep(2_500);
  const { tree_digest } = await show('--tree-digest');
  expect(await show()).toMatchObject({ tree_digest });
  expect(await home.ok(['image', 'show', 'one'])).toMatch(new RegExp(`^tree digest: +${tree_digest}$`, 'mu'));

  const env = { SOURCE_DATE_EPOCH: '1700000000' };
  const dated = ['image', 'show', 'one'];
  expect((await home.json<Shown>(dated, { env })).document).toEqual(
    expect.objectContaining({ tree_digest: null, tree_digest_epoch: 1_700_000_000 }),
  );
  const { document } = await home.json<Shown>([...dated, '--tree-digest'], { env });
  expect(document.tree_digest).not.toBe(tree_digest);
  expect(await home.ok(dated, { env })).toContain(
    `${document.tree_digest} (times up to 2023-11-14T22:13:20.000Z)\n`,
  );
  expect(await home.fails(2, dated, { env: { SOURCE_DATE_EPOCH: 'soon' } })).toContain(
    "SOURCE_DATE_EPOCH is 'soon'",
  );

  utimesSync(rootfs, 1, 1);
  expect(await show()).toMatchObject({ tree_digest: null });
  expect(await show('--tree-digest')).toMatchObject({ tree_digest });
});
