import { BangerError } from './errors.ts';
import { oneLine } from './text.ts';

/** Powers of 1024 by suffix (IEC 80000-13), as dd, truncate and podman take them. */
const FACTORS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
/** What ext4 with 4 KiB blocks and 32-bit block numbers can hold. */
const LARGEST = 16 * 2 ** 40;

/**
 * A size as people type it, in bytes: `512M`, `8G`, `8GiB`, `1.5T`. A bare number is refused: it could mean anything.
 * @throws BangerError `usage`
 */
export function parseSize(text: string): number {
  const [, digits, suffix = ''] = /^(\d{1,9}(?:\.\d{1,3})?)([KMGT])(?:iB|i)?$/iu.exec(text) ?? [];
  const factor = FACTORS[suffix.toUpperCase()];
  if (digits === undefined || factor === undefined) {
    throw new BangerError('usage', `'${oneLine(text).slice(0, 40)}' is not a size`, {
      hints: ['write a number with a unit: 512M, 8G, 1T'],
    });
  }
  const bytes = Math.round((Number(digits) * factor) / 4096) * 4096;
  if (bytes <= 0 || bytes > LARGEST) {
    throw new BangerError('usage', `the size ${oneLine(text)} is not between 4K and 16T`, {
      hints: ['for example 8G'],
    });
  }
  return bytes;
}
