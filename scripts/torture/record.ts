import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Count } from '../../test/torture/tally.ts';

const FILE = resolve(import.meta.dirname, '../../docs/torture.json');

/** What a part of the torture tried when it was last gone through from its beginning to its end. */
export interface Recorded {
  part: string;
  /** The last commit that changed the program or the torture, in short. */
  commit: string;
  /** YYYY-MM-DD */
  date: string;
  counts: Count[];
}

export function readRecord(): Recorded[] {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Recorded[];
}

/** Puts one in its part's place. Whoever is killed meanwhile leaves the record as it was. */
export function addToRecord(one: Recorded): void {
  const others = readRecord().filter(({ part }) => part !== one.part);
  const all = [...others, one].sort((first, second) => first.part.localeCompare(second.part, 'en'));
  writeFileSync(`${FILE}.new`, `${JSON.stringify(all, null, 2)}\n`);
  renameSync(`${FILE}.new`, FILE);
}

/** Counts of one command and torment together. */
export function addUp(counts: readonly Count[]): Count[] {
  const sums = new Map<string, Count>();
  for (const { command, torment, tried, lost } of counts) {
    const key = `${command} ${torment}`;
    const sum = sums.get(key) ?? { command, torment, tried: 0, lost: 0 };
    sums.set(key, { ...sum, tried: sum.tried + tried, lost: sum.lost + lost });
  }
  return [...sums.values()];
}
