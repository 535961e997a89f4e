import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, vi } from 'vitest';
import type { ContextDigest } from '../../../src/lib/context/digest.ts';
import { Worker } from '../worker.ts';
import { type Ground, NOBODY, test } from './ground.ts';

afterEach(() => {
  vi.useRealTimers();
});

async function digest(ground: Ground, sources = ['.']): Promise<ContextDigest> {
  return (await ground.open().resolve(sources)).digest();
}

/** Puts the clock to a time after a file was last changed, in milliseconds; it stands still there. */
function laterThan(path: string, milliseconds: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: statSync(path).ctimeMs + milliseconds });
}

const DAY = 86_400_000;

describe('a file is read again', () => {
  test('not when it is as it was', async ({ ground }) => {
    ground.write({ a: '1', b: '22', 'c/d': '' });
    laterThan(ground.at('c/d'), 10_000);
    const first = await digest(ground);
    expect(first).toMatchObject({ filesRead: 3, bytesRead: 3 });
    expect(await digest(ground)).toEqual({ sha256: first.sha256, filesRead: 0, bytesRead: 0 });
  });

  test('not even opened', async ({ ground }) => {
    ground.write({ 'file-one': '1' });
    laterThan(ground.at('file-one'), 10_000);
    await digest(ground);
    vi.useRealTimers();
    const log = join(ground.root, '../calls');
    const worker = new Worker('digest-context', [ground.root, ground.cacheDir], {
      prefix: ['strace', '-f', ...['-e', 'trace=openat,lstat,newfstatat,statx'], ...['-o', log]],
    });
    expect((await worker.ended).output).toMatch(/read 0$/mu);
    const calls = readFileSync(log, 'utf8')
      .split('\n')
      .filter((call) => call.includes('file-one'));
    expect(calls).not.toEqual([]);
    expect(calls.filter((call) => call.includes('openat'))).toEqual([]);
  });

  test.for<[what: string, change: (path: string) => void]>([
    ['was written to', (path) => writeFileSync(path, 'two')],
    ['grew', (path) => writeFileSync(path, 'longer')],
    [
      'was written to and has its old size and times',
      (path) => {
        const { mtimeNs } = statSync(path, { bigint: true });
        const script =
          'touch -r "$0" "$0.times" && printf two >"$0" && touch -r "$0.times" "$0" && rm "$0.times"';
        execFileSync('sh', ['-c', script, path]);
        expect(statSync(path, { bigint: true }).mtimeNs).toBe(mtimeNs);
      },
    ],
    [
      'is another one of the same name, size and times',
      (path) => {
        execFileSync('sh', [
          '-c',
          'printf two >"$0.new" && touch -r "$0" "$0.new" && mv "$0.new" "$0"',
          path,
        ]);
      },
    ],
  ])('when it %s', async ([, change], { ground }) => {
    ground.write({ file: 'one', other: 'one' });
    laterThan(ground.at('other'), 10_000);
    const { sha256 } = await digest(ground);
    change(ground.at('file'));
    const after = await digest(ground);
    expect(after.filesRead).toBe(1);
    expect(after.sha256).not.toBe(sha256);
    writeFileSync(ground.at('file'), 'one');
    expect((await digest(ground)).sha256).toBe(sha256);
  });

  test('when it had changed shortly before it was read', async ({ ground }) => {
    ground.write({ file: 'one' });
    for (const [age, read] of [
      [0, 1],
      [1900, 1],
      [2100, 1],
      [2200, 0],
    ] as const) {
      laterThan(ground.at('file'), age);
      expect((await digest(ground)).filesRead).toBe(read);
    }
  });

  test('when its change lies in the future', async ({ ground }) => {
    ground.write({ file: 'one' });
    laterThan(ground.at('file'), -DAY);
    await digest(ground);
    expect((await digest(ground)).filesRead).toBe(1);
  });

  test('when it was of no use for more than 30 days', async ({ ground }) => {
    ground.write({ old: '1', used: '2', new: '3' });
    laterThan(ground.at('new'), DAY);
    await digest(ground, ['old', 'used']);
    laterThan(ground.at('new'), 20 * DAY);
    expect((await digest(ground, ['used'])).filesRead).toBe(0);
    laterThan(ground.at('new'), 40 * DAY);
    expect((await digest(ground, ['used', 'new'])).filesRead).toBe(1);
    expect((await digest(ground)).filesRead).toBe(1);
  });
});

describe('nothing is remembered, and nothing fails', () => {
  const database = ({ cacheDir }: Ground): string => join(cacheDir, 'contexts.db');

  async function fillCache(ground: Ground): Promise<string> {
    ground.write({ file: 'one' });
    laterThan(ground.at('file'), 10_000);
    const { sha256 } = await digest(ground);
    expect((await digest(ground)).filesRead).toBe(0);
    return sha256;
  }

  test.for<[what: string, spoil: (path: string) => void]>([
    ['is gone', (path) => rmSync(path)],
    ['is empty', (path) => writeFileSync(path, '')],
    ['is none', (path) => writeFileSync(path, 'x'.repeat(10_000))],
    ['was cut short', (path) => execFileSync('truncate', ['-s', '5000', path])],
    [
      'has its pages overwritten',
      (path) =>
        execFileSync('sh', [
          '-c',
          'printf %8192s | dd conv=notrunc bs=4096 seek=1 of="$0" 2>/dev/null',
          path,
        ]),
    ],
    ['is of another format', (path) => sqlite(path, 'PRAGMA user_version = 99')],
    [
      'is another program’s',
      (path) => {
        rmSync(path);
        sqlite(path, 'CREATE TABLE bookmarks (url TEXT)');
      },
    ],
    ['lacks its table', (path) => sqlite(path, 'DROP TABLE file_digests')],
  ])('when the database %s; then it is made anew', async ([, spoil], { ground }) => {
    const sha256 = await fillCache(ground);
    spoil(database(ground));
    expect(await digest(ground)).toEqual({ sha256, filesRead: 1, bytesRead: 3 });
    expect(await digest(ground)).toEqual({ sha256, filesRead: 0, bytesRead: 0 });
  });

  test.for<[what: string, put: (path: string) => void]>([
    ['a FIFO is in its place', (path) => execFileSync('mkfifo', [path])],
    ['a directory is in its place', (path) => execFileSync('mkdir', [path])],
    ['a link is in its place', (path) => symlinkSync('/dev/zero', path)],
  ])('when %s', { timeout: 10_000 }, async ([, put], { ground }) => {
    const sha256 = await fillCache(ground);
    rmSync(database(ground));
    put(database(ground));
    expect(await digest(ground)).toMatchObject({ sha256, filesRead: 1 });
    expect(await digest(ground)).toMatchObject({ sha256, filesRead: 1 });
  });

  test('when the cache cannot be made', async ({ ground }) => {
    writeFileSync(ground.cacheDir, '');
    ground.write({ file: 'one' });
    laterThan(ground.at('file'), 10_000);
    await digest(ground);
    expect((await digest(ground)).filesRead).toBe(1);
  });

  test('when an ordinary user may not write to it, or it is another user’s', async ({ ground }) => {
    await fillCache(ground);
    chmodSync(join(ground.root, '..'), 0o755);
    for (const mode of [0o755, 0o777]) {
      chmodSync(ground.cacheDir, mode);
      await ground.asUser(async () => {
        expect((await digest(ground)).filesRead).toBe(process.getuid?.() === 0 ? 1 : 0);
      });
    }
  });

  test('that is new when it may only be read', async ({ ground }) => {
    ground.write({ file: 'one', other: 'two' });
    laterThan(ground.at('other'), 10_000);
    mkdirSync(ground.cacheDir);
    if (process.geteuid?.() === 0) chownSync(ground.cacheDir, NOBODY, NOBODY);
    await ground.asUser(async () => {
      await digest(ground, ['file']);
      chmodSync(database(ground), 0o400);
      chmodSync(ground.cacheDir, 0o500);
      for (let run = 0; run < 2; run += 1) expect((await digest(ground)).filesRead).toBe(1);
      chmodSync(ground.cacheDir, 0o700);
    });
  });

  test('of a cache on a full disk', async ({ ground }) => {
    mkdirSync(ground.cacheDir);
    ground.write({ file: 'one' });
    utimesSync(ground.at('file'), 1, 1);
    await new Promise((resolve) => setTimeout(resolve, 2100));
    const mount = 'mount -t tmpfs -o size=8k tmpfs "$0" && exec "$@"';
    const prefix = ['unshare', '--map-root-user', '--mount', 'sh', '-c', mount, ground.cacheDir];
    const worker = new Worker('digest-context', [ground.root, ground.cacheDir], { prefix });
    expect((await worker.ended).output).toMatch(/^digest [0-9a-f]{64} read 1\ndone$/mu);
  });
});

function sqlite(path: string, statement: string): void {
  const script = `new (require('node:sqlite').DatabaseSync)(process.argv[1]).exec(process.argv[2])`;
  execFileSync(process.execPath, ['-e', script, path, statement], { stdio: ['ignore', 'ignore', 'ignore'] });
}

test('many processes at once come to the same digest, and one cache', async ({ ground }) => {
  for (let n = 0; n < 300; n += 1) ground.write({ [`d${n % 7}/file${n}`]: String(n) });
  await new Promise((resolve) => setTimeout(resolve, 2100));
  const said: string[] = [];
  for (let round = 0; round < 2; round += 1) {
    const workers = Array.from(
      { length: 4 },
      () => new Worker('digest-context', [ground.root, ground.cacheDir, 'wait']),
    );
    await Promise.all(workers.map((worker) => worker.said(/^ready/u)));
    for (const worker of workers) worker.tell('go');
    for (const { output } of await Promise.all(workers.map((worker) => worker.ended))) {
      said.push(/^digest (\S+) read \d+$/mu.exec(output)?.[1] ?? output);
    }
  }
  expect(new Set(said).size).toBe(1);
  expect((await digest(ground)).filesRead).toBe(0);
});
