import { rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { KeyedStep } from '../../../src/lib/image/build-program.ts';
import { type OpenStage, StateKeeper } from '../../../src/lib/image/state-keeper.ts';
import type { StepCache } from '../../../src/lib/image/step-cache.ts';

const STEP = { title: 'RUN true', key: 'key', beforeKey: null, inputs: [] } as unknown as KeyedStep & {
  key: string;
};

/** A keeper in whose stage directory `fail` happens instead of a state being kept. */
async function keeperOf(fail: (directory: string) => void | Promise<void>, write?: (line: string) => void) {
  const top = await mkdtemp(join(tmpdir(), 'banger-keeper-'));
  onTestFinished(() => rm(top, { recursive: true }));
  const stages = join(top, 'stages');
  await mkdir(stages);
  const rootfs = join(top, 'rootfs.ext4');
  await writeFile(rootfs, '');
  const said: string[] = [];
  const keeper = new StateKeeper({
    cache: {
      limitBytes: 1,
      copies: 'every',
      keep: async ({ directory }: { directory: string }) => {
        await fail(directory);
        throw new Error('the disk returned an error');
      },
    } as unknown as StepCache,
    newPath: async () => join(stages, '1'),
    log: { write: write ?? ((line: string) => said.push(line)) } as never,
    note: () => {},
    signal: new AbortController().signal,
  });
  const open = {
    rootfs,
    sandbox: {
      async copyTo(target: string) {
        await writeFile(target, 'state');
        return { method: 'copy', finish: async () => {} };
      },
    },
    facts: {},
    kept: Promise.resolve(null),
  } as unknown as OpenStage;
  return { keeper, open, said };
}

test('a state that cannot be kept, nor its half copy be removed, is told and ends no build', async () => {
  // A directory above it that is none any more: what is below can be neither found nor removed.
  const { keeper, open, said } = await keeperOf((directory) => {
    rmSync(dirname(directory), { recursive: true });
    writeFileSync(dirname(directory), '');
  });
  expect(await keeper.keep(STEP, open, null)).toBe(true);
  await keeper.settled();
  expect(await open.kept).toBeNull();
  expect(said).toEqual([
    "the state after 'RUN true' is not kept: the disk returned an error",
    expect.stringMatching(/^its half copy cannot be removed: ENOTDIR/u),
  ]);
});

test('what fails beside the steps waits for whoever asks', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  try {
    const { keeper, open } = await keeperOf(
      () => {},
      () => {
        throw new Error('the log cannot be written');
      },
    );
    expect(await keeper.keep(STEP, open, null)).toBe(true);
    for (let turns = 0; turns < 50; turns += 1) await turn();
    expect(unhandled).toEqual([]);
    await expect(keeper.settled()).rejects.toThrow('the log cannot be written');
  } finally {
    process.off('unhandledRejection', note);
  }
});
