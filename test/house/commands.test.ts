import { globSync } from 'node:fs';
import { expect, test } from 'vitest';
import { REPOSITORY, readTracked } from './tracked-files.ts';

/** Static metadata, parse, one options object, one library call, print. */
const MOST_LINES = 80;

const files = globSync('src/commands/**/*.ts', { cwd: REPOSITORY }).sort();

test('commands are short', () => {
  const long = files
    .map((file) => ({ file, lines: readTracked(file).trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > MOST_LINES);
  expect(long).toEqual([]);
});
