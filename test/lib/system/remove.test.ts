import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../../src/lib/system/process.ts';
import { removeFile, removeWhatIsThere } from '../../../src/lib/system/remove.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'banger-remove-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('what is there is removed, and what is not is no error', async () => {
  const at = (name: string): string => join(directory, name);
  await writeFile(at('file'), '');
  await writeFile(at('in-its-place'), '');
  await mkdir(at('empty'));
  await mkdir(at('full/deep'), { recursive: true });
  for (const name of ['file', 'missing']) removeFile(at(name));
  for (const name of ['empty', 'full', 'in-its-place', 'missing']) removeWhatIsThere(at(name));
  for (const name of ['file', 'empty', 'full', 'in-its-place']) expect(existsSync(at(name))).toBe(false);
  expect(() => removeFile(directory)).toThrow(/EISDIR|EPERM/u);
});

test('a disk that fails is told by the code of its error', async () => {
  const module = resolve(import.meta.dirname, '../../../src/lib/system/remove.ts');
  await writeFile(join(directory, 'file'), '');
  await mkdir(join(directory, 'empty'));
  const script = `
    const { removeFile, removeWhatIsThere } = await import('${module}');
    for (const remove of [() => removeFile('file'), () => removeWhatIsThere('empty')]) {
      try { remove(); } catch (error) { console.log(error.code); }
    }`;
  const calls = 'unlink,unlinkat,rmdir';
  const strace = [
    '-f',
    ...['-o', '/dev/null'],
    ...['-e', `trace=${calls}`],
    ...['-e', `inject=${calls}:error=EIO`],
  ];
  const node = [process.execPath, '--input-type=module', '--eval', script];
  const { stdout } = await run('strace', [...strace, ...node], { cwd: directory });
  expect(stdout).toBe('EIO\nEIO\n');
});
