import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Torment } from '../../test/torture/tally.ts';
import { PARTS } from './parts.ts';
import type { Recorded } from './record.ts';

const PAGE = resolve(import.meta.dirname, '../../docs/reliability.md');
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

/** The record as Markdown: what was tried in all, of which commits, and which parts never were. */
export function tableOf(record: readonly Recorded[]): string {
  const counts = record.flatMap((one) => one.counts);
  const commands = [...new Set(counts.map(({ command }) => command))].sort();
  const rows = commands.map((command) => {
    const its = counts.filter((one) => one.command === command);
    const cells = COLUMNS.map((torment) => {
      const tried = sum(its.filter((one) => one.torment === torment).map((one) => one.tried));
      return tried === 0 ? '' : tried.toLocaleString('en');
    });
    return `| ${[command, ...cells, String(sum(its.map(({ lost }) => lost)))].join(' | ')} |`;
  });
  const head = ['command', ...COLUMNS, 'lost'];
  const table = [`| ${head.join(' | ')} |`, `|---|${'---:|'.repeat(head.length - 1)}`, ...rows].join('\n');
  return [table, '', ...commitsOf(record), ...missingOf(record)].join('\n');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

function commitsOf(record: readonly Recorded[]): string[] {
  const commits = [...new Set(record.map(({ commit, date }) => `${date} \`${commit}\``))].sort();
  return commits.map((commit) => {
    const parts = record.filter((one) => commit === `${one.date} \`${one.commit}\``).map(({ part }) => part);
    return `- ${commit}: ${parts.join('; ')}`;
  });
}

function missingOf(record: readonly Recorded[]): string[] {
  const known = new Set(record.map(({ part }) => part));
  const missing = PARTS.filter(({ name }) => !known.has(name)).map(({ name }) => name);
  return missing.length === 0 ? [] : [`- **Not yet tried whole:** ${missing.join('; ')}`];
}

/** Writes it into docs/reliability.md. */
export function publishTable(table: string): void {
  const page = readFileSync(PAGE, 'utf8');
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`${PAGE} has no place for the table`);
  writeFileSync(PAGE, `${before}${BEGIN}\n${table}\n${END}${after}`);
}
