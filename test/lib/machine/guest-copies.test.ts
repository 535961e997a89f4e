import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { GuestCopies } from '../../../src/lib/machine/guest-copies.ts';
import { HostTools } from '../../../src/lib/machine/host-tools.ts';
import type { StepChannel } from '../../../src/lib/machine/step-channel.ts';
import { run } from '../../../src/lib/system/process.ts';

const SIZE = 2 ** 20;
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(inject('testRun').directory, 'copies-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Copies in a guest that puts on the tape what it likes: the entries of a directory, by tar's own names. */
async function copiesOf(tar: readonly string[]): Promise<GuestCopies> {
  const path = join(directory, 'tape');
  writeFileSync(path, '');
  truncateSync(path, SIZE);
  const channel = {
    async perform(script: string) {
      if (script.includes('tar -c')) await run('tar', ['-cPf', path, ...tar]);
      return 0;
    },
  } as unknown as StepChannel;
  const tools = await HostTools.find(new AbortController().signal);
  return new GuestCopies({ channel, tools, tape: { path, size: SIZE, device: '/dev/none' }, present: {} });
}

function cacheWith(files: Readonly<Record<string, string>>): string {
  const cache = join(directory, 'cache');
  mkdirSync(cache);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(cache, name), content);
  return cache;
}

test('what a step left in a directory takes the place of what was there', async () => {
  const cache = cacheWith({ old: 'old' });
  const given = join(directory, 'given');
  mkdirSync(given);
  writeFileSync(join(given, 'new'), 'new');
  const copies = await copiesOf(['-C', given, '.']);
  await copies.bring(cache, 'returned');
  await copies.stepEnded();
  expect(readdirSync(cache)).toEqual(['new']);
  expect(readdirSync(directory).sort()).toEqual(['cache', 'given', 'tape']);
});

test('an archive that is to lead out of the directory leads nowhere', async () => {
  const cache = cacheWith({});
  const victim = join(directory, 'victim');
  mkdirSync(victim);
  writeFileSync(join(victim, 'file'), 'untouched');
  // Left by an earlier guest: a link to where the archive then writes.
  symlinkSync(victim, join(cache, 'way'));
  const given = join(directory, 'given');
  mkdirSync(join(given, 'way'), { recursive: true });
  writeFileSync(join(given, 'way/file'), 'harmed');
  writeFileSync(join(given, 'absolute'), 'harmed');
  const names = ['-C', given, '--transform', `s,^absolute$,${victim}/file,`];
  const copies = await copiesOf([...names, 'way/file', 'absolute']);
  await copies.bring(cache, 'returned');
  await copies.stepEnded();
  expect(readFileSync(join(victim, 'file'), 'utf8')).toBe('untouched');
  expect(readFileSync(join(cache, 'way/file'), 'utf8')).toBe('harmed');
});

test('where a file was lent, nothing but a file comes back', async () => {
  const file = join(directory, 'output');
  writeFileSync(file, 'before');
  const secret = join(directory, 'secret');
  writeFileSync(secret, 'secret');
  const given = join(directory, 'given');
  mkdirSync(given);
  symlinkSync(secret, join(given, 'output'));
  writeFileSync(join(given, 'rootfs.ext4'), 'another');
  const copies = await copiesOf(['-C', given, './output', './rootfs.ext4']);
  await copies.bring(file, 'returned');
  await expect(copies.stepEnded()).rejects.toThrow('gave back no file');
  expect(readFileSync(file, 'utf8')).toBe('before');
  expect(readdirSync(directory).sort()).toEqual(['given', 'output', 'secret', 'tape']);
});
