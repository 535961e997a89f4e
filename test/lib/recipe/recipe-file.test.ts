import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findRecipeFile, readRecipeFile } from '../../../src/lib/recipe/recipe-file.ts';
import { run } from '../../../src/lib/system/process.ts';

let context: string;

beforeEach(async () => {
  context = await mkdtemp(join(tmpdir(), 'banger-recipe-'));
});

afterEach(async () => {
  await rm(context, { recursive: true });
});

const at = (name: string): string => join(context, name);

describe('the recipe of a context', () => {
  test('is its Containerfile, or else its Dockerfile', async () => {
    await writeFile(at('Dockerfile'), 'FROM a');
    expect(findRecipeFile(context)).toBe(at('Dockerfile'));
    await writeFile(at('Containerfile'), 'FROM b');
    expect(findRecipeFile(context)).toBe(at('Containerfile'));
  });

  test('is the file that is named, wherever it is', () => {
    expect(findRecipeFile(context, '/else/where')).toBe('/else/where');
    expect(findRecipeFile(context, 'here')).toBe(join(process.cwd(), 'here'));
  });

  test('may be missing', () => {
    expect(() => findRecipeFile(`${context}/\u001b[31mno`)).toThrow(
      expect.objectContaining({
        code: 'preflight_failed',
        message: `${context}/no has neither a Containerfile nor a Dockerfile`,
      }),
    );
  });
});

describe('the text of a recipe', () => {
  test('is what the file holds', async () => {
    await writeFile(at('a'), 'FROM ä\r\n');
    await symlink('a', at('b'));
    expect(readRecipeFile(at('b'))).toBe('FROM ä\r\n');
    await writeFile(at('empty'), '');
    expect(readRecipeFile(at('empty'))).toBe('');
  });

  test('is at most 1 MiB', async () => {
    await writeFile(at('a'), '#'.repeat(1_048_576));
    expect(readRecipeFile(at('a'))).toHaveLength(1_048_576);
    await truncate(at('a'), 2 ** 40);
    expect(() => readRecipeFile(at('a'))).toThrow(
      expect.objectContaining({ code: 'usage', message: `${at('a')} is 1 TiB, and a recipe at most 1 MiB` }),
    );
  });

  test('is UTF-8', async () => {
    await writeFile(at('a'), Buffer.from([0x46, 0xff, 0x0a]));
    expect(() => readRecipeFile(at('a'))).toThrow(
      expect.objectContaining({ code: 'usage', message: `${at('a')} is not a text in UTF-8` }),
    );
  });

  test('is that of a regular file', async () => {
    await mkdir(at('dir'));
    await run('mkfifo', [at('fifo')]);
    for (const name of ['dir', 'fifo', 'none']) {
      expect(() => readRecipeFile(at(name))).toThrow(expect.objectContaining({ code: 'preflight_failed' }));
    }
  });
});
