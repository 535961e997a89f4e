import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePattern, replace, trimEnd, trimStart } from '../../../src/lib/recipe/pattern.ts';
import { run } from '../../../src/lib/system/process.ts';

interface Case {
  value: string;
  pattern: string;
}

/** What ours make of a case, in the order of the script's. */
function ours({ value, pattern }: Case): string[] {
  const parsed = parsePattern(pattern);
  const by = (which: 'first' | 'all') => replace(value, parsed, '<>', { which, limit: 1000 });
  return [
    trimStart(value, parsed, 'shortest'),
    trimStart(value, parsed, 'longest'),
    trimEnd(value, parsed, 'shortest'),
    trimEnd(value, parsed, 'longest'),
    ...(value === '' ? ['', ''] : [by('first'), by('all')]),
  ];
}

const SCRIPT = `while [ $# -gt 0 ]; do v=$1 p=$2; shift 2
  printf '%s\\n' "\${v#$p}" "\${v##$p}" "\${v%$p}" "\${v%%$p}"
  if [ -z "$v" ]; then printf '\\n\\n'; else printf '%s\\n' "\${v/$p/<>}" "\${v//$p/<>}"; fi
done`;

describe('patterns', () => {
  test('match what they match in bash', async () => {
    const text = (unit: string, maxLength: number) =>
      fc.string({ unit: fc.constantFrom(...unit), maxLength });
    const cases = fc.sample(
      fc.record({
        value: text('aab.ä😀', 9),
        pattern: fc.oneof(text('aab.*?ä😀', 5), text('ab*', 5), text('a?', 3)),
      }),
      3000,
    );
    const args = cases.flatMap(({ value, pattern }) => [value, pattern]);
    const { stdout } = await run('bash', ['-c', SCRIPT, 'bash', ...args], { env: { LC_ALL: 'C.UTF-8' } });
    const lines = stdout.split('\n');
    for (const [index, one] of cases.entries()) {
      expect({ ...one, becomes: ours(one) }).toEqual({
        ...one,
        becomes: lines.slice(index * 6, index * 6 + 6),
      });
    }
  });

  test('take no time that anybody notices, whatever they are', () => {
    const started = performance.now();
    for (const pattern of [
      '*a'.repeat(200),
      `${'*a'.repeat(200)}b`,
      `${'?'.repeat(500)}b`,
      '*'.repeat(1000),
    ]) {
      ours({ value: 'a'.repeat(900), pattern });
    }
    replace('ab'.repeat(50_000), parsePattern('a*c'), '', { which: 'all', limit: 1_000_000 });
    expect(performance.now() - started).toBeLessThan(3000);
  });
});
