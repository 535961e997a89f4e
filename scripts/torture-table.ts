import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Count, Torment } from '../test/torture/tally.ts';

const PAGE = resolve(import.meta.dirname, '../docs/reliability.md');
const BEGIN = '<!-- table: npm run test:torture -->';
const END = '<!-- end of table -->';
const COLUMNS: readonly Torment[] = [
  'kills',
  'failed calls',
  'power cuts',
  'full disks',
  'crowd',
  'stops',
  'hostile inputs',
];

function tableOf(counts: readonly Count[]): string {
  const commands = [...new Set(counts.map(({ command }) => command))].sort();
  const sum = (some: readonly Count[], what: 'tried' | 'lost'): number =>
    some.reduce((total, one) => total + one[what], 0);
  const rows = commands.map((command) => {
    const its = counts.filter((one) => one.command === command);
    const cells = COLUMNS.map((torment) => {
      const tried = sum(
        its.filter((one) => one.torment === torment),
        'tried',
      );
      return tried === 0 ? '' : tried.toLocaleString('en');
    });
    return `| ${[command, ...cells, String(sum(its, 'lost'))].join(' | ')} |`;
  });
  const head = ['command', ...COLUMNS, 'lost'];
  return [`| ${head.join(' | ')} |`, `|---|${'---:|'.repeat(head.length - 1)}`, ...rows].join('\n');
}

const [tally = '', write] = process.argv.slice(2);
const counts = readFileSync(tally, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as Count);
const table = tableOf(counts);
process.stdout.write(`\n${table}\n`);
const page = readFileSync(PAGE, 'utf8');
const [before, rest] = page.split(BEGIN);
const after = rest?.split(END)[1];
if (before === undefined || after === undefined) throw new Error(`${PAGE} has no place for the table`);
if (write === '--write') writeFileSync(PAGE, `${before}${BEGIN}\n${table}\n${END}${after}`);
if (counts.length === 0 || counts.some(({ lost }) => lost > 0)) process.exitCode = 1;
