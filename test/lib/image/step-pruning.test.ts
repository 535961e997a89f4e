import { describe, expect, test } from 'vitest';
import { choosePruned, madeFrom, type SizedStep, totalBytes } from '../../../src/lib/image/step-pruning.ts';

const NOBODY: ReadonlySet<string> = new Set();

/** A chain begins from a base and each step is made from the one before; used in the order of its number. */
function step(id: string, parent: string | null, used: number, over: Partial<SizedStep> = {}): SizedStep {
  const used_at = new Date(Date.UTC(2026, 0, used)).toISOString();
  return { id, parent_id: parent, state: 'kept', bytes: 10, base: null, base_bytes: 0, used_at, ...over };
}

describe('the sum', () => {
  test('counts what is shared with a base once', () => {
    const shared = { base: '1:2', base_bytes: 100 };
    expect(totalBytes([step('a', null, 1, shared), step('b', null, 2, shared), step('c', 'a', 3)])).toBe(130);
    expect(
      totalBytes([step('a', null, 1, shared), step('b', null, 2, { base: '1:3', base_bytes: 50 })]),
    ).toBe(170);
  });
});

describe('what goes', () => {
  const chain = [step('a', null, 9), step('b', 'a', 9), step('c', 'b', 9)];

  test('is what was used longest ago', () => {
    const steps = [step('old', null, 1), step('new', null, 3), step('middle', null, 2)];
    expect(choosePruned(steps, { limitBytes: 20, spared: NOBODY })).toEqual({ ids: ['old'], leftBytes: 20 });
    expect(choosePruned(steps, { limitBytes: 9, spared: NOBODY }).ids).toEqual(['old', 'middle', 'new']);
    expect(choosePruned(steps, { limitBytes: 30, spared: NOBODY }).ids).toEqual([]);
  });

  test('goes after all that was made from it, whenever that was used', () => {
    const steps = [step('a', null, 1), step('b', 'a', 5), step('other', null, 3)];
    expect(choosePruned(steps, { limitBytes: 0, spared: NOBODY }).ids).toEqual(['other', 'b', 'a']);
    expect(choosePruned(chain, { limitBytes: 20, spared: NOBODY }).ids).toEqual(['c']);
  });

  test('is nothing that is in use, nor what that was made from', () => {
    expect(choosePruned(chain, { limitBytes: 0, spared: new Set(['b']) })).toEqual({
      ids: ['c'],
      leftBytes: 20,
    });
  });

  test('is nothing that is on its way there or away', () => {
    const steps = [step('a', null, 1, { state: 'coming' }), step('b', null, 2, { state: 'going' })];
    expect(choosePruned(steps, { limitBytes: 0, spared: NOBODY })).toEqual({ ids: [], leftBytes: 20 });
  });

  test('may be limited to what was of no use since a time', () => {
    const steps = [step('old', null, 1), step('new', null, 3)];
    const unusedSince = new Date(Date.UTC(2026, 0, 2)).toISOString();
    expect(choosePruned(steps, { limitBytes: 0, unusedSince, spared: NOBODY }).ids).toEqual(['old']);
  });
});

describe('what was made from a state', () => {
  const digests = Object.fromEntries(
    ['a', 'b', 'c', 'd', 'other'].map((id) => [id, id.repeat(64).slice(0, 64)]),
  );
  const chained = (id: string, before: string | null, read: string[] = []) => ({
    ...{ id, key: digests[id] ?? '', before_key: before && (digests[before] ?? '') },
    inputs: JSON.stringify(read.map((name) => ({ name: `stage ${name}`, digest: digests[name] }))),
  });
  // In no order, as a registry has them.
  const steps = [
    chained('d', 'other', ['c']),
    chained('other', null),
    chained('c', 'b'),
    chained('b', 'a'),
    chained('a', null),
  ];

  test('are the steps after it, and those that read from them', () => {
    const from = (id: string): string[] => madeFrom(steps, digests[id] ?? '').map((step) => step.id);
    expect(from('a').sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(from('c').sort()).toEqual(['c', 'd']);
    expect(from('other').sort()).toEqual(['d', 'other']);
    expect(madeFrom(steps, 'none')).toEqual([]);
  });
});
