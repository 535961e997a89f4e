import { afterEach, beforeEach, expect, test } from 'vitest';
import { forget, makeTable, readArea, tableStateOf, writeArea } from '../../../src/lib/store/digest-table.ts';
import { openSqlite } from '../../../src/lib/store/sqlite.ts';

let sqlite: ReturnType<typeof openSqlite>;

beforeEach(() => {
  sqlite = openSqlite(':memory:', {});
  makeTable(sqlite);
});
afterEach(() => {
  sqlite.close();
});

const row = (file: string, used_on = 100) => ({ file, stamp: '1:2:3', digest: 'a'.repeat(64), used_on });
const filesOf = (area: number): string[] => [...readArea(sqlite, area).keys()].sort();

test('an area has what was written to it last', () => {
  writeArea(sqlite, 1, [row('1:1'), row('1:2')]);
  writeArea(sqlite, 1, [{ ...row('1:2'), stamp: '4:5:6' }]);
  writeArea(sqlite, 2 ** 48 - 1, [row('1:1')]);
  expect([...readArea(sqlite, 1).values()]).toEqual([row('1:1'), { ...row('1:2'), stamp: '4:5:6' }]);
  expect(filesOf(2 ** 48 - 1)).toEqual(['1:1']);
});

test('what was of no use for long is forgotten, in every area', () => {
  writeArea(sqlite, 1, [row('old', 99), row('kept', 100)]);
  writeArea(sqlite, 2, [row('older', 1), row('new', 130)]);
  forget(sqlite, 1, { today: 130 });
  expect([filesOf(1), filesOf(2)]).toEqual([['kept'], ['new']]);
});

test('beyond a limit one area is kept, and that is what it takes', () => {
  const many = Array.from({ length: 2000 }, (_, index) => row(`1:${index}`));
  writeArea(sqlite, 1, many.slice(0, 10));
  forget(sqlite, 1, { today: 100, limitBytes: 100_000 });
  writeArea(sqlite, 2, many);
  expect(filesOf(2)).toHaveLength(2000);
  forget(sqlite, 1, { today: 100, limitBytes: 100_000 });
  expect([filesOf(1).length, filesOf(2).length]).toEqual([10, 0]);
  // What is free in the database does not count.
  writeArea(sqlite, 2, many.slice(0, 10));
  forget(sqlite, 1, { today: 100, limitBytes: 100_000 });
  expect(filesOf(2)).toHaveLength(10);
});

test('a database that is not such a one is told from an empty one', () => {
  expect(tableStateOf(sqlite)).toBe('ours');
  const other = openSqlite(':memory:', {});
  expect(tableStateOf(other)).toBe('empty');
  other.exec('CREATE TABLE bookmarks (url TEXT)');
  expect(tableStateOf(other)).toBe('another format');
  other.close();
});
