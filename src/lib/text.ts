/** C0, DEL, C1 and the bidirectional controls: what could steer a terminal or hide text (ECMA-48; UAX #9). */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
/** CSI, OSC and two-byte escape sequences (ECMA-48 sections 5.4 and 8.3). A string without an end ends with its line. */
const ESCAPES =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b\n]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b\n]*(?:\u001b\\)?|[@-Z\\-_])/gu;

/** Text of unknown origin made safe to print: no escape sequence, no control character but tab and newline. */
export function stripControl(text: string): string {
  return text.replace(ESCAPES, '').replace(UNSAFE, '');
}

/** The same on one line: tabs and whatever ends a line (UAX #14, class BK) become spaces. */
export function oneLine(text: string): string {
  return stripControl(text.replace(/[\t-\r\u0085\u2028\u2029]+/gu, ' '));
}

/** A value as the one JSON document on a stream, with every unsafe character escaped: the same value to a parser. */
export function formatJson(value: unknown): string {
  // Newlines are the layout; JSON escapes those in strings.
  return `${escapeUnsafe(JSON.stringify(value, null, 2))}\n`;
}

/** The same on one line: an event of a stream of them. */
export function formatJsonLine(value: unknown): string {
  return `${escapeUnsafe(JSON.stringify(value))}\n`;
}

function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A word of a command that is shown to be typed: quoted where a shell would read it otherwise (POSIX 2.2). */
export function shellWord(text: string): string {
  const word = oneLine(text);
  return /^[\w%+,./:=@-]+$/u.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes as people read them: `1.2 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.round(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

const AGES = [
  ['year', 365 * 24 * 3600],
  ['month', 30 * 24 * 3600],
  ['week', 7 * 24 * 3600],
  ['day', 24 * 3600],
  ['hour', 3600],
  ['minute', 60],
] as const;

/** How long before `now` (milliseconds since the epoch) an ISO 8601 time was: `3 minutes ago`. */
export function formatAge(iso: string, now = Date.now()): string {
  const seconds = Math.floor((now - Date.parse(iso)) / 1000);
  for (const [unit, length] of AGES) {
    const count = Math.floor(seconds / length);
    if (count >= 1) return `${count} ${unit}${count === 1 ? '' : 's'} ago`;
  }
  return 'just now';
}

/** Milliseconds as people read them: `0.4s`, `12s`, `3m04s`, `2h05m`. Less than none (a clock was set back) is none. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
  return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')}m`;
}
