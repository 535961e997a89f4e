import { globSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { COMMANDS } from '../../src/index.ts';
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

test('the command table has every command file under its id, and nothing else', async () => {
  const idOf = (file: string): string =>
    file
      .replace(/^src\/commands\//u, '')
      .replace(/\.ts$/u, '')
      .replaceAll('/', ':');
  expect(Object.keys(COMMANDS).sort()).toEqual(files.map(idOf).sort());
  for (const file of files) {
    const { default: command } = await import(/* @vite-ignore */ join(REPOSITORY, file));
    expect((await COMMANDS[idOf(file)]?.())?.default === command, file).toBe(true);
  }
});

test('every command says what it does, and shows how', async () => {
  for (const [id, load] of Object.entries(COMMANDS)) {
    const { default: command } = await load();
    expect(command.summary, id).toMatch(/^[a-z][^\n]*[^.\n]$/u);
    expect(command.examples, id).not.toHaveLength(0);
    for (const example of command.examples as string[]) {
      expect(example, id).toMatch(/^<%= config\.bin %> <%= command\.id %>/u);
      expect(example, id).not.toMatch(/ -[a-z]\b/u);
    }
  }
});
