import { existsSync, statSync } from 'node:fs';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { Reserve } from '../../../src/lib/store/reserve.ts';
import { type State, test } from '../state.ts';

const MIB = 1024 * 1024;

/** A filesystem of its own for a worker: nobody but it sees the mount, and it goes with it. */
function onSmallDisk({ directory }: State, size: string): string[] {
  const script = `mount -t tmpfs -o size=${size} none "$0" && exec "$@"`;
  return ['unshare', '--map-root-user', '--mount', 'sh', '-c', script, directory];
}

describe('on a filesystem without a free block', () => {
  test.for([
    ['nobody else is reading', 'alone'],
    // Its -wal and -shm exist then, and the first thing that fails is a COMMIT.
    ['another process reads the registry', 'read'],
    ['another process is in the middle of a build', 'built'],
  ] as const)('images are listed and deleted while %s', async ([, others], { state }) => {
    await mkdir(state.directory);
    const worker = state.start('fill-disk', [others], { prefix: onSmallDisk(state, '16m') });
    const { output } = await worker.ended;
    expect(output.match(/^(?:full|listed|deleted|error|reserve|note).*$/gmu)).toEqual([
      'full: 0 bytes free',
      'reserve 1048576',
      'listed 1',
      'deleted 1: no directory left',
      'reserve taken back',
      'reserve 1048576 again',
    ]);
  });

  test('a registry cannot be made, which is exit 6', async ({ state }) => {
    await mkdir(state.directory);
    const worker = state.start('fill-disk', ['first'], { prefix: onSmallDisk(state, '2m') });
    expect((await worker.ended).output).toMatch(/^error preflight_failed .*(?:space|full)/mu);
  });
});

test('a COMMIT that found no space, and no reserve, is known not to have happened: exit 6', async ({
  state,
}) => {
  await mkdir(state.directory);
  const worker = state.start('fill-disk', ['unreserved'], { prefix: onSmallDisk(state, '16m') });
  const { output } = await worker.ended;
  expect(output).toMatch(/^error preflight_failed .*no space left/mu);
  expect(output).toMatch(/^stopped after what is there$/mu);
});

describe('the reserve', () => {
  test('that was left half made is completed', async ({ state }) => {
    await mkdir(state.directory);
    await writeFile(state.layout.reserve, 'x');
    new Reserve(state.layout.reserve).fill();
    expect(statSync(state.layout.reserve)).toMatchObject({ size: MIB, mode: expect.any(Number) });
  });

  test('takes real blocks', async ({ state }) => {
    await mkdir(state.directory);
    new Reserve(state.layout.reserve).fill();
    expect(statSync(state.layout.reserve).blocks * 512).toBeGreaterThanOrEqual(MIB);
  });

  test('is left alone when it is whole', async ({ state }) => {
    await mkdir(state.directory);
    await writeFile(state.layout.reserve, '');
    await truncate(state.layout.reserve, MIB);
    new Reserve(state.layout.reserve).fill();
    expect(statSync(state.layout.reserve).blocks).toBe(0);
  });

  test('that was given up is taken back at the end', async ({ state }) => {
    await mkdir(state.directory);
    const reserve = new Reserve(state.layout.reserve);
    reserve.fill();
    const kept = await readdir(state.directory);
    expect(kept.length).toBeGreaterThan(4);
    let calls = 0;
    reserve.retryOnceWithout(() => {
      calls += 1;
      if (calls === 1) throw Object.assign(new Error('full'), { code: 'ENOSPC' });
    });
    expect(await readdir(state.directory)).toEqual([]);
    reserve.takeBack();
    expect(await readdir(state.directory)).toEqual(kept);
    expect(statSync(state.layout.reserve).size).toBe(MIB);
    await rm(state.layout.reserve);
    // Another's loss is made good by those who change something, not by everybody who looks.
    reserve.takeBack();
    expect(existsSync(state.layout.reserve)).toBe(false);
  });

  test('that was lent is back before anything else can take its room', async ({ state }) => {
    await mkdir(state.directory);
    const reserve = new Reserve(state.layout.reserve);
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
    reserve.fill();
    const isThere = (): boolean => existsSync(state.layout.reserve);
    const uses: boolean[] = [];
    const failing = (): never => {
      uses.push(isThere());
      throw full;
    };
    expect(() => reserve.lend(failing)).toThrow('full');
    expect([...uses, isThere()]).toEqual([true, false, true]);
  });

  test('is given up for want of space alone, and then once', async ({ state }) => {
    await mkdir(state.directory);
    const reserve = new Reserve(state.layout.reserve);
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
    let calls = 0;
    const failing = (error: Error) => () => {
      calls += 1;
      throw error;
    };
    reserve.fill();
    expect(() => reserve.retryOnceWithout(failing(new Error('other')))).toThrow('other');
    expect(calls).toBe(1);
    expect(existsSync(state.layout.reserve)).toBe(true);
    expect(() => reserve.retryOnceWithout(failing(full))).toThrow('full');
    expect(calls).toBe(3);
    expect(existsSync(state.layout.reserve)).toBe(false);
    expect(() => reserve.retryOnceWithout(failing(full))).toThrow('full');
    expect(calls).toBe(4);
  });
});
