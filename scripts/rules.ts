// Takes one rule of the house after the other out of the program, in a copy of it, and runs the test that is to notice.
// Fails when one does not. usage: rules.ts [PART OF A RULE'S NAME]
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../src/lib/system/process.ts';
import { RULES, type Rule } from './rules/table.ts';

const ROOT = join(import.meta.dirname, '..');
/** What the program is built from and tested with. */
const PARTS = ['bin', 'src', 'test', 'scripts', 'docs', 'package.json', 'package-lock.json'];
const FILES = ['oclif.manifest.json', 'tsconfig.json', 'vitest.config.ts', 'biome.json', 'README.md'];

function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'banger-rules-'));
  for (const part of [...PARTS, ...FILES]) {
    cpSync(join(ROOT, part), join(copy, part), { recursive: true, verbatimSymlinks: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

interface Failure {
  test: string;
  said: string;
}

/** The first test that fails in the copy; null when none does. */
async function firstFailure(copy: string, args: readonly string[], whole = false): Promise<Failure | null> {
  await run('sh', [join(copy, 'scripts/build')]);
  await run(process.execPath, [join(copy, 'scripts/executable/build.ts')]);
  const { exitCode, stdout, stderr } = await run(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--bail=1', ...args],
    { cwd: copy, okExit: 'any', env: { NO_COLOR: '1', ...(whole ? { BANGER_TORTURE: 'whole' } : {}) } },
  );
  if (exitCode === 0) return null;
  const said = stdout + stderr;
  const from = said.indexOf('\n FAIL ');
  const failed = /^ FAIL .*?\.test\.ts > (.*)$/mu.exec(said)?.[1];
  if (failed === undefined) throw new Error(`the tests did not run:\n${said.slice(-2000)}`);
  return { test: failed, said: said.slice(from, from + 2000) };
}

/** The test that notices that a rule is missing; null when none does. */
async function without({ file, from, to, tests, whole }: Rule, copy: string): Promise<Failure | null> {
  const path = join(copy, file);
  const source = readFileSync(path, 'utf8');
  if (source.split(from).length !== 2) throw new Error(`${file} does not have once: ${from}`);
  writeFileSync(
    path,
    source.replace(from, () => to),
  );
  try {
    return await firstFailure(copy, tests, whole);
  } finally {
    writeFileSync(path, source);
  }
}

const [wanted = ''] = process.argv.slice(2);
const copy = makeCopy();
try {
  const all = new Set(RULES.flatMap(({ tests }) => tests));
  const unfounded = await firstFailure(copy, [...all]);
  if (unfounded !== null) throw new Error(`fails with every rule in its place: ${unfounded.said}`);
  for (const rule of RULES.filter(({ rule }) => rule.includes(wanted))) {
    const noticed = await without(rule, copy);
    process.stdout.write(
      `${noticed === null ? 'UNNOTICED' : 'noticed  '}  ${rule.rule}: ${noticed?.test ?? rule.tests.join(' ')}\n`,
    );
    if (noticed === null) process.exitCode = 1;
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
