import { describe, expect, it } from 'vitest';
import { workSeedInodes, workSeedSize } from '../../../src/lib/image/work-seed.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

describe('the size of a work seed', () => {
  it.each([
    [0, 512],
    [1, 512],
    [256 * MIB, 512],
    [256 * MIB + 1, 576],
    [300 * MIB, 576],
    [320 * MIB, 576],
    [320 * MIB + 1, 640],
    [10 * GIB, 10240 + 256],
  ])('for %i bytes is %i MiB', (content, expected) => {
    expect(workSeedSize(content)).toBe(expected * MIB);
  });
});

describe('the inodes of a work seed', () => {
  it('are as many as usual for few files', () => {
    expect(workSeedInodes(10, 512 * MIB)).toBe(32768);
  });

  it('are more than there are files, and leave room for new ones', () => {
    expect(workSeedInodes(100_000, 512 * MIB)).toBeGreaterThanOrEqual(125_000);
  });

  it.each([1, 100, 10_000])('of %i GiB do not eat up what the size leaves for them', (gib) => {
    const tableBytes = 256 * workSeedInodes(1000, gib * GIB);
    expect(tableBytes).toBeLessThanOrEqual(64 * MIB);
  });
});
