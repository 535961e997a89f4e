import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { sideBySide } from '../../src/lib/side-by-side.ts';

const never = new AbortController().signal;

function untilAborted(ended: string[], name: string): (signal: AbortSignal) => Promise<void> {
  return async (signal) => {
    await sleep(60_000, undefined, { signal }).catch(() => {});
    await sleep(20);
    ended.push(name);
    signal.throwIfAborted();
  };
}

test('all end, and nothing is thrown where none failed', async () => {
  const ended: string[] = [];
  await sideBySide(never, [
    async () => {
      await sleep(10);
      ended.push('slow');
    },
    async () => {
      ended.push('quick');
    },
  ]);
  expect(ended).toEqual(['quick', 'slow']);
});

test('the first failure ends the others, is waited for until they have ended, and is the one thrown', async () => {
  const ended: string[] = [];
  const failure = new Error('no room');
  await expect(
    sideBySide(never, [
      untilAborted(ended, 'other'),
      async () => {
        throw failure;
      },
    ]),
  ).rejects.toBe(failure);
  expect(ended).toEqual(['other']);
});

test('an abort from outside reaches all of them', async () => {
  const ended: string[] = [];
  const outside = new AbortController();
  const reason = new Error('cancelled');
  setTimeout(() => outside.abort(reason), 10);
  await expect(
    sideBySide(outside.signal, [untilAborted(ended, 'one'), untilAborted(ended, 'two')]),
  ).rejects.toBe(reason);
  expect(ended.sort()).toEqual(['one', 'two']);
});
