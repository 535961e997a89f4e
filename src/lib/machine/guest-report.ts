import { createHash } from 'node:crypto';

/** Something that an agent in a guest says: a name and values. */
export interface GuestReport {
  name: string;
  values: string[];
}

/** How much of a line that does not end is kept, in bytes: more than the longest report. */
const LINE_BYTES = 128 * 1024;
/** How many hex digits of the SHA-256 end a line: the console is everybody's, and what is said there may be mixed up. */
const SUM_DIGITS = 12;

/**
 * Shell functions of an agent: `report NAME VALUE…` writes a line to the virtio port of that name, where there is one,
 * else to the console, where it may come to lie in the middle of what others say: there it is said twice.
 */
export function reportingFunctions({
  busybox,
  token,
  port,
}: {
  busybox: string;
  token: string;
  port: string;
}): string {
  return `count=0
find_port() {
  for directory in /sys/class/virtio-ports/*; do
    [ "$(${busybox} cat "$directory/name" 2>/dev/null)" = ${port} ] || continue
    [ -c "/dev/\${directory##*/}" ] && echo "/dev/\${directory##*/}" && return
  done
}
report() {
  line=${token}:$count:$1
  count=$((count + 1))
  shift
  for value in "$@"; do
    line=$line:$(printf %s "$value" | ${busybox} base64 -w 0)
  done
  line=$line:$(printf %s "$line" | ${busybox} sha256sum | ${busybox} cut -c 1-${SUM_DIGITS})
  out=$(find_port)
  if [ -n "$out" ] && printf '%s\\n' "$line" >"$out" 2>/dev/null; then return; fi
  for _ in once again; do printf '\\n%s\\n' "$line" >/dev/console 2>/dev/null; done
}`;
}

/** Finds an agent's reports in what comes from a guest, whatever else is said there. */
export class GuestReports {
  readonly #token: string;
  readonly #onReport: (report: GuestReport) => void;
  readonly #seen = new Set<number>();

  constructor(token: string, onReport: (report: GuestReport) => void) {
    this.#token = token;
    this.#onReport = onReport;
  }

  /** A stream by which they may come: what it is to be fed with. Each report is told once, by whatever streams it comes. */
  stream(): (bytes: Buffer) => void {
    let rest = '';
    return (bytes) => {
      const lines = (rest + bytes.toString('latin1')).split('\n');
      rest = (lines.pop() ?? '').slice(-LINE_BYTES);
      for (const line of lines) this.#take(line);
    };
  }

  #take(line: string): void {
    const start = line.indexOf(`${this.#token}:`);
    if (start === -1) return;
    const report = /^(.*):([0-9a-f]+)\r?$/u.exec(line.slice(start));
    const [, said = '', sum] = report ?? [];
    if (createHash('sha256').update(said).digest('hex').slice(0, SUM_DIGITS) !== sum) return;
    const [, count = '', name = '', ...values] = said.split(':');
    const index = Number(count);
    if (this.#seen.has(index)) return;
    this.#seen.add(index);
    this.#onReport({ name, values: values.map((value) => Buffer.from(value, 'base64').toString()) });
  }
}
