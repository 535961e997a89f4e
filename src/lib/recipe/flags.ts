import { nearestTo } from '../nearest.ts';
import { didYouMean, mistake, shown } from './faults.ts';
import { formOf, INSTRUCTIONS, type Keyword } from './keywords.ts';
import type { WrittenFlag } from './words.ts';

/** The flags of one instruction. */
export class Flags {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  /** @throws BangerError `usage` for one that the instruction does not have, or not in this form */
  constructor(keyword: Keyword, written: readonly WrittenFlag[]) {
    const values = new Map<string, string[]>();
    for (const flag of written) {
      const value = readFlag(keyword, flag);
      const before = values.get(flag.name);
      if (before === undefined) values.set(flag.name, [value]);
      else if (formOf(keyword, flag.name) === 'values') before.push(value);
      else throw mistake(`--${flag.name} stands there twice`);
    }
    this.#values = values;
  }

  value(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  values(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  isOn(name: string, fallback = false): boolean {
    const value = this.value(name);
    return value === undefined ? fallback : value === 'true';
  }
}

function readFlag(keyword: Keyword, { name, value }: WrittenFlag): string {
  const form = formOf(keyword, name);
  if (form === undefined) throw unknownFlag(keyword, name);
  if (form !== 'switch') {
    if (value === null || value === '') throw mistake(`--${name} needs a value`, `write --${name}=VALUE`);
    return value;
  }
  const answer = value === null ? 'true' : value.toLowerCase();
  if (answer !== 'true' && answer !== 'false') throw mistake(`--${name} is either true or false`);
  return answer;
}

function unknownFlag(keyword: Keyword, name: string): Error {
  const known = Object.keys(INSTRUCTIONS[keyword]);
  const near = nearestTo(name, known).map((flag) => `--${flag}`);
  const others =
    known.length === 0
      ? `${keyword} has no flags`
      : `${keyword} has ${known.map((flag) => `--${flag}`).join(', ')}`;
  return mistake(
    `${keyword} has no flag ${shown(`--${name}`)}`,
    ...(near.length > 0 ? didYouMean(near) : [others]),
  );
}
