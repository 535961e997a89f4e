import { BangerError } from '../errors.ts';
import { oneLine } from '../text.ts';

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
/** A hundred years, in milliseconds. */
const LONGEST = 100 * 365 * 86_400_000;

/**
 * A span of time as people type it, in milliseconds: `90s`, `30m`, `2h`, `7d`, `4w`. A bare number is refused.
 * @throws BangerError `usage`
 */
export function parseDuration(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,9})([smhdw])$/u.exec(text) ?? [];
  const milliseconds = Number(digits) * (UNITS[unit] ?? Number.NaN);
  if (milliseconds <= LONGEST) return milliseconds;
  throw new BangerError('usage', `'${oneLine(text).slice(0, 40)}' is not a span of time`, {
    hints: ['write a number with a unit: 90s, 30m, 2h, 7d'],
  });
}
