// Runs parts of the torture, each in a run of the tests of its own, and records those that held.
// usage: main.ts [--missing] [PART OF A NAME]
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Count } from '../../test/torture/tally.ts';
import { PARTS, type Part } from './parts.ts';
import { addToRecord, addUp, readRecord } from './record.ts';
import { publishTable, tableOf } from './table.ts';

const ROOT = join(import.meta.dirname, '../..');
/** What the torture is of: a change elsewhere leaves what was tried as good as it was. */
const TRIED = ['src', 'bin', 'package-lock.json', 'scripts/executable', 'test/torture', 'test/support'];

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
}

/** The commit whose program is tried; an uncommitted change would make a lie of it. */
function commitTried(): string {
  const changed = git('status', '--porcelain', '--', ...TRIED);
  if (changed !== '')
    throw new Error(`commit first, the record names the commit that was tried:\n${changed}`);
  return git('log', '-1', '--format=%h', '--', ...TRIED);
}

/** Runs a part; null when something did not hold, of which vitest has told. */
function counted(part: Part, commit: string): Count[] | null {
  const work = join(ROOT, '.cache/torture');
  mkdirSync(work, { recursive: true });
  const tally = join(work, 'tally');
  rmSync(tally, { force: true });
  const { status } = spawnSync(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', '--project', 'torture', ...part.args],
    {
      cwd: ROOT,
      stdio: 'inherit',
      env: {
        ...process.env,
        BANGER_TORTURE: 'whole',
        BANGER_TORTURE_TALLY: tally,
        BANGER_TORTURE_PASSED: join(work, `passed-${commit}`),
        BANGER_TORTURE_SHARE: part.share ?? '1/1',
      },
    },
  );
  if (status !== 0 || !existsSync(tally)) return null;
  const lines = readFileSync(tally, 'utf8').trim().split('\n');
  return addUp(lines.map((line) => JSON.parse(line) as Count));
}

const args = process.argv.slice(2);
const onlyMissing = args.includes('--missing');
const [wanted = ''] = args.filter((arg) => !arg.startsWith('--'));
const commit = commitTried();
const done = new Set(
  readRecord()
    .filter((one) => onlyMissing || one.commit === commit)
    .map(({ part }) => part),
);
const left = PARTS.filter(({ name }) => name.includes(wanted) && !done.has(name));
const failed: string[] = [];
for (const [index, part] of left.entries()) {
  console.log(`\n# ${index + 1} of ${left.length}: ${part.name}, at ${commit}`);
  const counts = counted(part, commit);
  if (counts === null || counts.some(({ lost }) => lost > 0)) {
    failed.push(part.name);
    continue;
  }
  addToRecord({ part: part.name, commit, date: new Date().toISOString().slice(0, 10), counts });
  publishTable(tableOf(readRecord()));
}
console.log(`\n${tableOf(readRecord())}`);
for (const name of failed) console.error(`did not hold: ${name}`);
if (failed.length > 0) process.exitCode = 1;
