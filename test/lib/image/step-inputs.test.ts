import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Context, openContext } from '../../../src/lib/context/context.ts';
import { inputsOfStep } from '../../../src/lib/image/step-inputs.ts';
import type { Origin } from '../../../src/lib/recipe/recipe.ts';
import { stepsOf } from '../../support/step-box.ts';

let directory: string;
let context: Context;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'banger-inputs-'));
  for (const name of ['a', 'b', 'ignored', '*']) writeFileSync(join(directory, name), name);
  writeFileSync(join(directory, '.dockerignore'), 'ignored\n');
  context = openContext({ directory, cacheDir: directory, signal: new AbortController().signal });
});
afterAll(() => rmSync(directory, { recursive: true }));

/** By their names, the inputs of the last step. */
async function inputsOf(text: string, version = 1): Promise<Record<string, string>> {
  const step = stepsOf(text).at(-1);
  if (step === undefined) throw new Error('no step in it');
  const keyOf = (origin: Origin): string => `${JSON.stringify(origin)} ${version}`;
  const inputs = await inputsOfStep(step, { context, keyOf });
  expect(new Set(inputs.map(({ name }) => name)).size).toBe(inputs.length);
  return Object.fromEntries(inputs.map(({ name, digest }) => [name, digest]));
}

/** The names of the inputs that two steps do not share. */
async function differing(one: string, other: string): Promise<string[]> {
  const [left, right] = [await inputsOf(one), await inputsOf(other)];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])]
    .filter((name) => left[name] !== right[name])
    .sort();
}

describe('the inputs of a step', () => {
  test.each([
    ['RUN a', 'RUN  a  # no comment', ['instruction']],
    ['RUN a', '\n\nRUN a', []],
    ['ENV A=1\nRUN a', 'ENV A=2\nRUN a', ['env A']],
    ['ENV A=1\nRUN a', 'ENV B=1\nRUN a', ['env A', 'env B']],
    ['ENV A=1 B=2\nRUN a', 'ENV B=2 A=1\nRUN a', []],
    ['RUN a', 'USER x\nRUN a', ['instruction']],
    ['RUN a', 'WORKDIR /x\nRUN a', ['instruction']],
    ['RUN a', 'RUN --network=none a', ['instruction']],
    ['RUN <<E\n#!/bin/sh\na\nE', 'RUN <<E\n#!/bin/sh\nb\nE', ['instruction']],
    ['RUN --mount=type=tmpfs,target=/x a', 'RUN --mount=type=tmpfs,target=/y a', ['instruction']],
    ['RUN --mount=type=cache,target=/x a', 'RUN --mount=type=cache,target=/x,id=y a', ['instruction']],
    ['RUN --mount=type=secret,id=x a', 'RUN --mount=type=secret,id=y a', ['instruction']],
    ['RUN --mount=target=/x,source=a a', 'RUN --mount=target=/x,source=b a', ['instruction', 'mount 0 /x']],
    ['RUN --mount=target=/x,source=a a', 'RUN --mount=target=/x,source=a,rw a', ['instruction']],
    ['RUN --mount=target=/x,from=i a', 'RUN --mount=target=/x,from=j a', ['mount 0 /x']],
    [
      'RUN --mount=type=cache,target=/x,from=i a',
      'RUN --mount=type=cache,target=/x,from=j a',
      ['mount 0 /x'],
    ],
    ['COPY a /x', 'COPY a /y', ['instruction']],
    ['COPY a /x', 'COPY b /x', ['files', 'instruction']],
    ['COPY a /x', 'ENV A=1\nCOPY a /x', []],
    ['COPY a /x', 'COPY --chown=1 a /x', ['files', 'instruction']],
    ['COPY a /x', 'COPY --chmod=700 a /x', ['instruction']],
    ['COPY --from=i a /x', 'COPY --from=j a /x', ['files']],
    ['COPY <<E /x\n1\nE', 'COPY <<E /x\n2\nE', ['instruction']],
    ['WORKDIR /x', 'WORKDIR /y', ['instruction']],
  ])('%j and %j differ in %j', async (one, other, expected) => {
    expect(await differing(one, other)).toEqual(expected);
  });

  test('change with what another stage holds, not with what a secret or a cache does', async () => {
    const copy = 'COPY --from=i a /x';
    expect(await inputsOf(copy, 1)).not.toEqual(await inputsOf(copy, 2));
    const run = 'RUN --mount=type=secret,id=x --mount=type=cache,target=/y a';
    expect(await inputsOf(run, 1)).toEqual(await inputsOf(run, 2));
  });

  test('know content, and no times', async () => {
    const text = 'RUN --mount=target=/x a';
    const before = await inputsOf(text);
    utimesSync(join(directory, 'a'), 1, 1);
    writeFileSync(join(directory, 'ignored'), 'changed');
    expect(await inputsOf(text)).toEqual(before);
    writeFileSync(join(directory, 'a'), 'changed');
    expect((await inputsOf(text))['mount 0 /x']).not.toBe(before['mount 0 /x']);
  });

  test('of a mount take its source for a name, not for a pattern', async () => {
    const star = await inputsOf('RUN --mount=target=/x,source=* a');
    writeFileSync(join(directory, 'b'), 'changed');
    expect(await inputsOf('RUN --mount=target=/x,source=* a')).toEqual(star);
  });

  test('are refused where a file is missing, or the context', async () => {
    await expect(inputsOf('COPY none /x')).rejects.toMatchObject({ code: 'preflight_failed' });
    const [step] = stepsOf('COPY a /x');
    if (step === undefined) throw new Error('no step in it');
    await expect(inputsOfStep(step, { context: null, keyOf: () => '' })).rejects.toMatchObject({
      code: 'preflight_failed',
      message: expect.stringContaining('(line 2): it takes files from a build context'),
    });
  });
});
