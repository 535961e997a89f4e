import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lookup, readFile } from '../../../src/lib/ext4/lookup.ts';
import { withVolume } from '../../../src/lib/ext4/volume.ts';
import { run } from '../../../src/lib/system/process.ts';

const directory = mkdtempSync(join(tmpdir(), 'lookup-'));
const image = join(directory, 'image');

beforeAll(async () => {
  const tree = join(directory, 'tree');
  mkdirSync(join(tree, 'a/b'), { recursive: true });
  writeFileSync(join(tree, 'a/b/file'), 'content');
  writeFileSync(join(tree, 'top'), 'top');
  const links = {
    'a/up': '../..',
    'a/b/absolute': '/a/b/file',
    out: '../../../../top',
    'a/dir': 'b',
    nowhere: 'x/y',
  };
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(tree, name));
  symlinkSync('ring', join(tree, 'ring'));
  for (let index = 1; index <= 41; index += 1) {
    symlinkSync(index === 1 ? 'top' : `chain${index - 1}`, join(tree, `chain${index}`));
  }
  // Each link goes through the same directory hundreds of times, and then to the next one.
  mkdirSync(join(tree, 'crowd'));
  for (let index = 0; index < 2000; index += 1)
    writeFileSync(join(tree, `crowd/${index}${'-'.repeat(60)}`), '');
  mkdirSync(join(tree, 'crowd/in'));
  for (let index = 1; index <= 40; index += 1) {
    const end = index === 1 ? 'top' : `weary${index - 1}`;
    symlinkSync(`${'crowd/in/../../'.repeat(260)}${end}`, join(tree, `weary${index}`));
  }
  await run('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-N', '4096', '-d', tree, image, '16M']);
});
afterAll(() => rmSync(directory, { recursive: true }));

test.for([
  ['a/b/file', 'content'],
  ['/a//b/./file', 'content'],
  ['a/../a/b/../../a/dir/file', 'content'],
  ['a/b/absolute', 'content'],
  // Out of the image is its root again.
  ['out', 'top'],
  ['../../top', 'top'],
  ['a/up/top', 'top'],
  ['a/up/../../a/dir/absolute', 'content'],
  ['chain40', 'top'],
  ['nowhere', null],
  ['a/b/file/x', null],
  ['a/b/file/', null],
  ['a/b/file/..', null],
  ['a/b', null],
  ['a/none', null],
] as const)('%s', ([path, content]) =>
  withVolume(image, (volume) => {
    expect(readFile(volume, path, { limit: 100 })?.toString() ?? null).toBe(content);
  }),
);

test('a link is not followed unless that is wanted, or its path goes on', () =>
  withVolume(image, (volume) => {
    expect(lookup(volume, 'a/dir', { follow: false })?.type).toBe('symlink');
    expect(lookup(volume, 'a/dir/', { follow: false })?.type).toBe('directory');
    expect(lookup(volume, 'a/dir', { follow: true })?.type).toBe('directory');
    expect(lookup(volume, '', { follow: false })?.number).toBe(2);
  }));

test.for(['ring', 'chain41'])('%s: too many links are no path', (path) =>
  withVolume(image, (volume) => {
    expect(() => lookup(volume, path, { follow: true })).toThrow(/goes through more than 40 symbolic links/u);
  }),
);

test('a file larger than its limit is not read', () =>
  withVolume(image, (volume) => {
    expect(() => readFile(volume, 'a/b/file', { limit: 6 })).toThrow(
      /a\/b\/file has 7 bytes, more than the 6/u,
    );
  }));

test('a path that leads through a large directory again and again is given up', async () => {
  await expect(
    withVolume(image, (volume) => lookup(volume, 'weary40', { follow: true })),
  ).rejects.toMatchObject({
    code: 'preflight_failed',
    message: expect.stringMatching(/too much of its directories/u),
  });
  expect(await withVolume(image, (volume) => lookup(volume, 'weary2', { follow: true }))).not.toBeNull();
});

test('an image whose journal holds writes is refused, and nothing else that e2fsck would pass', async () => {
  await run('debugfs', ['-w', '-R', 'feature needs_recovery', image]);
  const refused = withVolume(image, () => 0);
  await expect(refused).rejects.toMatchObject({
    code: 'preflight_failed',
    hints: ['stop what uses it', `e2fsck -fp ${image}`],
  });
  await run('debugfs', ['-w', '-R', 'feature -needs_recovery', image]);
  expect(await withVolume(image, () => 0)).toBe(0);
  await run('debugfs', ['-w', '-R', 'feature FEATURE_I30', image]);
  await expect(withVolume(image, () => 0)).rejects.toMatchObject({
    code: 'preflight_failed',
    message: `${image}: its filesystem has incompat:0x40000000, which is not read here`,
  });
});
