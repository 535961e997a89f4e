import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, inject, test } from 'vitest';
import { BuildLog } from '../../../src/lib/build-log.ts';
import { openContext } from '../../../src/lib/context/context.ts';
import { carryOutStep } from '../../../src/lib/image/recipe-step.ts';
import { Secrets } from '../../../src/lib/image/secrets.ts';
import { openSandbox } from '../../../src/lib/system/sandbox.ts';
import { findStaticBusybox } from '../../../src/lib/system/static-busybox.ts';
import { makeRootfs } from '../../support/images.ts';
import { stepsOf } from '../../support/step-box.ts';
import { inspectKernel } from '../../support/verifier-kernel.ts';

/** A step in this process, which is then cancelled or has a file changed under it. */
async function carryOut(text: string, interfere: (directory: string, abort: AbortController) => void) {
  const directory = mkdtempSync(join(inject('testRun').directory, 'cancel-'));
  const abort = new AbortController();
  const { signal } = abort;
  try {
    for (const name of ['mnt', 'context', 'scratch', 'cache']) mkdirSync(join(directory, name));
    const image = await makeRootfs(join(directory, 'rootfs.ext4'), { sizeMiB: 1024 });
    for (const name of ['a', 'b']) {
      writeFileSync(join(directory, 'context', name), '');
      truncateSync(join(directory, 'context', name), 400 * 1024 * 1024);
    }
    const sandbox = await openSandbox({ image, mountpoint: join(directory, 'mnt'), network: 'none', signal });
    const [step] = stepsOf(text);
    if (step === undefined) throw new Error('no step in it');
    const outcome = carryOutStep(step, 'step', {
      sandbox,
      log: new BuildLog(join(directory, 'log')),
      show: () => {},
      packageCache: { binds: [], beginInstall: async () => {}, renew: async () => false },
      busybox: await findStaticBusybox(),
      context: openContext({
        directory: join(directory, 'context'),
        cacheDir: join(directory, 'cache'),
        signal,
      }),
      rootfsOf: async () => image,
      secrets: new Secrets(),
      proxies: {},
      mountsDir: join(directory, 'mounts'),
      scratchDir: join(directory, 'scratch'),
      signal,
    }).then(
      () => null,
      (error: unknown) => error,
    );
    await sleep(600);
    interfere(directory, abort);
    const error = await outcome;
    await sandbox.abandon();
    let held = inspectKernel(directory);
    for (let tries = 0; held.length > 0 && tries < 100; tries += 1) {
      await sleep(50);
      held = inspectKernel(directory);
    }
    expect(held.filter((line) => !line.startsWith(`process ${process.pid} `))).toEqual([]);
    return error;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('a copy that is cancelled in its middle ends, and nothing is left of it', async () => {
  const reason = new Error('cancelled by the test');
  expect(await carryOut('COPY . /copied', (_, abort) => abort.abort(reason))).toBe(reason);
});

test('a file that changes while it is copied ends the copy', async () => {
  const error = await carryOut('COPY a b /copied/', (directory) => {
    writeFileSync(join(directory, 'context/b'), 'another');
  });
  expect(error).toMatchObject({
    code: 'preflight_failed',
    message: expect.stringMatching(/context\/b changed while it was being read/u),
  });
});
