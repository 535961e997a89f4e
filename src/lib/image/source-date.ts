import { BangerError } from '../errors.ts';

/** What a build system says is the time of all that is built (the Reproducible Builds project's specification). */
const VARIABLE = 'SOURCE_DATE_EPOCH';

/** The last second of the year 9999: times are written with four digits. */
const LATEST = 253_402_300_799;

/**
 * The environment's SOURCE_DATE_EPOCH in seconds since 1970; null where it is not set, or empty.
 * @throws BangerError `usage` when it is no such number
 */
export function sourceDate(): number | null {
  const text = process.env[VARIABLE] ?? '';
  if (text === '') return null;
  const seconds = Number(text);
  if (/^\d+$/u.test(text) && seconds <= LATEST) return seconds;
  throw new BangerError('usage', `${VARIABLE} is '${text}', not a number of seconds since 1970`, {
    hints: [`unset ${VARIABLE}`],
  });
}
