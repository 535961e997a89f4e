import { expect, test } from 'vitest';
import { nearestTo } from '../../src/lib/nearest.ts';

test.each<[string, string[], string[]]>([
  ['debain', ['debian', 'alpine'], ['debian']],
  ['state_dri', ['state_dir', 'cache_dir'], ['state_dir']],
  ['web-3', ['web-2', 'web-1', 'web-4', 'web-5'], ['web-1', 'web-2', 'web-4']],
  ['debian', ['postgres'], []],
  ['db', ['ci', 'db2'], ['db2']],
  ['x'.repeat(1000), ['x'.repeat(10), 'y'.repeat(80)], []],
  ['', ['a', 'bc'], []],
])('%.10s', (text, names, nearest) => {
  expect(nearestTo(text, names)).toEqual(nearest);
});
