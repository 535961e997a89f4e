import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { cpioOf } from '../../../src/lib/machine/cpio.ts';
import { run } from '../../../src/lib/system/process.ts';

test('an archive is unpacked as it was described, and made the same again', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'banger-cpio-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  // Lengths of names and contents that need each padding.
  const contents = ['', 'a', 'ab', 'abc', 'abcd', 'abcde'];
  const archive = (): Buffer =>
    Buffer.concat(
      cpioOf([
        { path: 'deep', type: 'directory', mode: 0o750 },
        ...contents.map(
          (text) =>
            ({ path: `deep/f${text}`, type: 'file', mode: 0o640, content: Buffer.from(text) }) as const,
        ),
        { path: 'link', type: 'symlink', mode: 0o777, content: Buffer.from('deep/fab') },
        { path: 'deep/empty', type: 'file', mode: 0o700 },
      ]),
    );
  expect(archive().equals(archive())).toBe(true);
  const file = join(directory, 'archive');
  await writeFile(file, archive());
  await run('sh', ['-c', 'busybox cpio -idm <"$1"', 'sh', file], { cwd: directory });
  for (const text of contents) {
    expect(await readFile(join(directory, `deep/f${text}`), 'utf8')).toBe(text);
  }
  expect(await readFile(join(directory, 'link'), 'utf8')).toBe('ab');
  expect((await stat(join(directory, 'deep'))).mode & 0o7777).toBe(0o750);
  expect((await stat(join(directory, 'deep/fabc'))).mode & 0o7777).toBe(0o640);
  expect(await stat(join(directory, 'deep/empty'))).toMatchObject({ size: 0 });
});

test('a device has its numbers where the kernel looks for them', async () => {
  const device = { major: 5, minor: 1 };
  const header = Buffer.concat(cpioOf([{ path: 'console', type: 'character', mode: 0o600, device }]));
  // c_mode, c_rdevmajor and c_rdevminor: the second, tenth and eleventh of the fields of eight digits.
  const field = (index: number): number =>
    Number.parseInt(header.toString('latin1', 6 + 8 * index, 14 + 8 * index), 16);
  expect([field(1), field(9), field(10)]).toEqual([0o20600, 5, 1]);
});
