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
  const table = files.map(async (file) => {
    const id = file
      .replace(/^src\/commands\//u, '')
      .replace(/\.ts$/u, '')
      .replaceAll('/', ':');
    const { default: command } = (await import(/* @vite-ignore */ join(REPOSITORY, file))) as {
      default: unknown;
    };
    return [id, command] as const;
  });
  const loaded = Object.entries(COMMANDS).map(async ([id, load]) => [id, (await load()).default] as const);
  expect(Object.fromEntries(await Promise.all(loaded))).toEqual(Object.fromEntries(await Promise.all(table)));
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
