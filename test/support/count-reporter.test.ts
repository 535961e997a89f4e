import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../src/lib/system/process.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'banger-reporter-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function runTests(files: Record<string, string>, env: Record<string, string> = {}) {
  for (const [name, body] of Object.entries(files)) {
    const header = `import { beforeAll, describe, expect, test } from '${REPOSITORY}/node_modules/vitest/dist/index.js';\n`;
    await writeFile(join(directory, name), header + body);
  }
  const reporter = join(REPOSITORY, 'test/support/count-reporter.ts');
  const args = ['run', '--root', directory, '--reporter', reporter];
  const vitest = join(REPOSITORY, 'node_modules/vitest/vitest.mjs');
  const { exitCode, stdout } = await run(process.execPath, [vitest, ...args], { okExit: 'any', env });
  return { failed: exitCode !== 0, last: stdout.trimEnd().split('\n').pop(), stdout };
}

const PASS = "test('a', () => {});";

test('counts tests that pass, fail and are skipped', async () => {
  const result = await runTests({
    'a.test.ts': `${PASS} test('b', () => { expect(1).toBe(2); }); test('c', ({ skip }) => skip('no moon'));`,
  });
  expect(result).toMatchObject({ failed: true, last: '1 passed, 1 failed, 1 skipped' });
  expect(result.stdout).toContain('skipped: a.test.ts > c: no moon');
});

test('counts a file that does not load, a hook that throws and an error that nobody caught', async () => {
  const hook =
    "describe('s', () => { beforeAll(() => { throw new Error('hook'); }); test('b', () => {}); });";
  const unhandled = "test('c', () => { setTimeout(() => { throw new Error('late'); }, 10); });";
  const keepAlive = "test('d', () => new Promise((done) => setTimeout(done, 100)));";
  const result = await runTests({
    'a.test.ts': PASS,
    'b.test.ts': "import './missing.ts';",
    'c.test.ts': hook,
    'd.test.ts': unhandled + keepAlive,
  });
  expect(result).toMatchObject({ failed: true, last: '3 passed, 3 failed, 1 skipped' });
});

test('fails a run without tests', async () => {
  expect(await runTests({})).toMatchObject({ failed: true, last: '0 passed, 1 failed, 0 skipped' });
});

test('fails a run whose tests were all skipped, and in CI one with any skipped', async () => {
  const skip = "test.skip('b', () => {});";
  expect(await runTests({ 'a.test.ts': skip })).toMatchObject({ failed: true });
  const mixed = { 'a.test.ts': PASS + skip };
  expect(await runTests(mixed, { CI: '' })).toMatchObject({
    failed: false,
    last: '1 passed, 0 failed, 1 skipped',
  });
  expect(await runTests(mixed, { CI: 'true' })).toMatchObject({
    failed: true,
    last: '1 passed, 0 failed, 1 skipped',
  });
});
