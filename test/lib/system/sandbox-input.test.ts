import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { openSandbox, type Sandbox } from '../../../src/lib/system/sandbox.ts';
import type { StepMount } from '../../../src/lib/system/sandbox-step.ts';
import { makeRootfs } from '../../support/images.ts';

let directory: string;
let sandbox: Sandbox;
beforeAll(async () => {
  directory = mkdtempSync(join(inject('testRun').directory, 'input-'));
  mkdirSync(join(directory, 'mnt'));
  sandbox = await openSandbox({
    image: await makeRootfs(join(directory, 'rootfs.ext4'), { sizeMiB: 32 }),
    mountpoint: join(directory, 'mnt'),
    network: 'none',
    signal: new AbortController().signal,
  });
});
afterAll(async () => {
  await sandbox.abandon();
  rmSync(directory, { recursive: true });
});

async function* blocks(count: number): AsyncGenerator<Buffer> {
  for (let index = 0; index < count; index += 1) yield Buffer.alloc(64 * 1024, index);
}

const data = (target: string, content: Buffer): StepMount => ({
  ...{ kind: 'data', target, content, mode: 0o600, writable: false },
});

test('a step reads a stream to its end, and files in memory beside it', async () => {
  const files = [
    data('/run/a', Buffer.alloc(300_000, 'a')),
    data('/run/b', Buffer.alloc(0)),
    data('/run/c', Buffer.from([0, 10, 0, 255])),
  ];
  const { stdout } = await sandbox.run(
    ['/bin/sh', '-c', 'busybox wc -c; busybox wc -c </run/a; busybox od -An -tx1 /run/b /run/c'],
    {
      input: Readable.from(blocks(100)),
      mounts: files,
    },
  );
  expect(stdout).toBe(`${100 * 65_536}\n300000\n 00 0a 00 ff\n`);
  const without = await sandbox.run(['/bin/sh', '-c', 'busybox wc -c; cat /run/c'], { mounts: files });
  expect(without.stdout).toMatch(/^0\n/u);
});

test('one that ends without reading leaves nothing behind', async () => {
  const input = Readable.from(blocks(10_000));
  expect(await sandbox.run(['/bin/true'], { input })).toMatchObject({ exitCode: 1 });
  expect(input.destroyed).toBe(true);
  const slow = Readable.from(
    (async function* () {
      yield Buffer.from('first\n');
      await sleep(60_000, undefined, { ref: false });
      yield Buffer.from('never\n');
    })(),
  );
  const result = await sandbox.run(['/bin/sh', '-c', 'read line; echo "$line"'], { input: slow });
  expect(result).toMatchObject({ exitCode: 0, stdout: 'first\n' });
});

test('a stream that fails ends the step with its own error', async () => {
  const failure = new Error('gone');
  const failing = Readable.from(
    (async function* () {
      yield* blocks(3);
      throw failure;
    })(),
  );
  await expect(sandbox.run(['/bin/sh', '-c', 'cat >/dev/null; sleep 60'], { input: failing })).rejects.toBe(
    failure,
  );
  expect(await sandbox.run(['/bin/sh', '-c', 'exit 4'])).toMatchObject({ exitCode: 4 });
});

test('nothing but one directory can be written to where it is so told', async () => {
  const script = 'mkdir /srv/x || echo no; mkdir /var/log/x && echo yes; echo x >/etc/hostname || echo no';
  const { stdout } = await sandbox.run(['/bin/sh', '-c', script], {
    mounts: [{ kind: 'alone', target: '/var/log' }],
  });
  expect(stdout).toBe('no\nyes\nno\n');
  expect(
    await sandbox.run(['/bin/sh', '-c', 'true'], { mounts: [{ kind: 'alone', target: '/run' }] }),
  ).toMatchObject({ exitCode: 125, stderr: 'sandbox: /run: is not a directory of the image\n' });
});

test('mount points are made and taken away again, but for what is in them', async () => {
  const mounts: StepMount[] = [
    data('/new/deep/file', Buffer.from('x')),
    { kind: 'tmpfs', target: '/new/other', sizeBytes: 65_536 },
    { kind: 'bind', source: directory, target: '/kept/bind', writable: false },
  ];
  await sandbox.run(['/bin/sh', '-c', 'echo x >/kept/beside'], { mounts });
  const { stdout } = await sandbox.run(['/bin/sh', '-c', 'ls -d /new /kept /kept/*']);
  expect(stdout).toBe('/kept\n/kept/beside\n');
  for (const target of ['/dev', '/proc', '/']) {
    const { exitCode } = await sandbox.run(['/bin/true'], {
      mounts: [{ kind: 'tmpfs', target, sizeBytes: null }],
    });
    expect(exitCode).toBe(125);
  }
});
