import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { RULES } from '../../scripts/rules/table.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');

// Taking a rule out takes hours for all of them; that its text has moved is seen at once.
test.for(RULES)('the rule that $rule can be taken out', ({ file, from, to, tests }) => {
  const source = readFileSync(join(REPOSITORY, file), 'utf8');
  expect(source.split(from)).toHaveLength(2);
  expect(to).not.toBe(from);
  expect(tests.filter((path) => !existsSync(join(REPOSITORY, path)))).toEqual([]);
});
