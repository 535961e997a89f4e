import { describe, expect, it } from 'vitest';
import { parseSize } from '../../src/lib/size.ts';

const MIB = 2 ** 20;

describe('a size', () => {
  it.each([
    ['4K', 4096],
    ['512M', 512 * MIB],
    ['512m', 512 * MIB],
    ['512MiB', 512 * MIB],
    ['512Mi', 512 * MIB],
    ['8G', 8192 * MIB],
    ['1.5G', 1536 * MIB],
    ['16T', 16 * 2 ** 40],
    ['5K', 4096],
    ['6K', 8192],
    ['0.001G', 1073152],
  ])('of %s is %i bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([
    '',
    ' ',
    '1',
    '1073741824',
    '1B',
    '1KB',
    '1MB',
    '1GB',
    '1P',
    'G',
    '.5G',
    '1.G',
    '1.5.5G',
    '-1G',
    '+1G',
    '0G',
    '0.0001K',
    '1e3G',
    '0x10G',
    '1 G',
    ' 1G',
    '1G ',
    '1G\n',
    '1,5G',
    '17T',
    '16.001T',
    '99999999999G',
    '1GG',
    'NaNG',
    'InfinityG',
    '١G',
  ])('is not %j', (text) => {
    expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: 'usage', exitCode: 2 }));
  });
});
