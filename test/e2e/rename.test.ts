import { expect, inject } from 'vitest';
import { registerImage } from '../support/boot-files.ts';
import { test } from '../support/fixtures.ts';

interface Image {
  id: string;
  name: string;
  artifact_dir: string;
  created_at: string;
  updated_at: string;
}

test('rename gives a name, and leaves the id and the files', async ({ makeHome }) => {
  const home = await makeHome(inject('testRun').user);
  await registerImage(home, 'one');
  await registerImage(home, 'two');
  await home.ok(['image', 'promote', 'one']);
  const { document: before } = await home.json<Image>(['image', 'show', 'one']);

  expect(await home.ok(['image', 'rename', before.id.slice(0, 8), 'first'])).toBe('renamed one to first\n');
  const { document: after } = await home.json<Image>(['image', 'show', 'first']);
  expect(after).toEqual({ ...before, name: 'first', updated_at: after.updated_at });
  expect(after.updated_at > before.updated_at).toBe(true);
  expect(await home.fails(3, ['image', 'show', 'one'])).toContain("no image 'one'");
  const { document: free } = await home.json<Image>(['image', 'rename', 'two', 'one']);
  expect(free.name).toBe('one');
});

test('rename refuses names that are taken, the same or none', async ({ makeHome }) => {
  const home = await makeHome(inject('testRun').user);
  await registerImage(home, 'one');
  await registerImage(home, 'two');
  const taken = await home.fails(4, ['image', 'rename', 'one', 'two']);
  expect(taken).toMatch(/^error: an image named two exists already \([0-9a-f]{12}\)\n/u);
  expect(taken).toContain('→ banger image show two');
  expect(await home.fails(4, ['image', 'rename', 'one', 'one'])).toContain('the image is named one already');
  expect(await home.fails(2, ['image', 'rename', 'one', 'Two'])).toContain("'Two' is not a valid image name");
  expect(await home.fails(2, ['image', 'rename', 'one', '0'.repeat(32)])).toContain(
    'the shape of an image id',
  );
  expect(await home.fails(3, ['image', 'rename', 'zwei', 'three'])).toContain("no image 'zwei'");
  expect(await home.ok(['image', 'list', '--quiet'])).toBe('one\ntwo\n');
});
