import { expect, test } from 'vitest';
import { run } from '../../src/lib/system/process.ts';
import { REPOSITORY } from './tracked-files.ts';

const LINTERS: readonly (readonly [name: string, script: string, args: readonly string[]])[] = [
  ['biome', 'node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.']],
  ['the type checker', 'node_modules/typescript/bin/tsc', ['-p', 'tsconfig.json']],
  ['knip', 'node_modules/knip/bin/knip.js', []],
  ['the command manifest', 'scripts/manifest.ts', ['--check']],
  ['the command reference', 'scripts/reference.ts', ['--check']],
];

test.each(LINTERS)('%s finds nothing', async (_, script, args) => {
  const { exitCode, stdout, stderr } = await run(process.execPath, [script, ...args], {
    cwd: REPOSITORY,
    okExit: 'any',
  });
  expect({ exitCode, said: exitCode === 0 ? '' : stdout + stderr }).toEqual({ exitCode: 0, said: '' });
});
