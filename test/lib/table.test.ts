import { expect, test } from 'vitest';
import { formatPairs, formatTable } from '../../src/lib/table.ts';

test('columns are as wide as their widest cell, and lines end where their text does', () => {
  const table = formatTable(
    ['ID', 'NAME'],
    [
      ['1', 'a'],
      ['1234', ''],
    ],
  );
  expect(table).toBe('ID    NAME\n1     a\n1234\n');
});

test('a cell cannot break its row or steer the terminal', () => {
  expect(formatTable(['A', 'B'], [['x\ny', '\u001b[31mz']])).toBe('A    B\nx y  z\n');
  expect(formatPairs([['error', 'a\nb\u001b[2J']])).toBe('error: a b\n');
});

test('pairs without a value are left out', () => {
  const text = formatPairs([
    ['id', '1'],
    ['missing', null],
    ['name', 'x'],
  ]);
  expect(text).toBe('id:   1\nname: x\n');
});
