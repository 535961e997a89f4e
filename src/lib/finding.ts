import { formatTable } from './table.ts';
import { oneLine } from './text.ts';

/** One line of an examination: of this machine, or of an image. */
export interface Finding {
  name: string;
  /** `fail`: something that is required is missing. `warn`: something can be done without it, or cannot be told. */
  status: 'ok' | 'warn' | 'fail';
  detail: string;
  /** A command that mends it, as printed, or what is to be done; null when there is nothing to mend or nobody knows how. */
  mend: string | null;
}

export function ok(name: string, detail: string): Finding {
  return { name, status: 'ok', detail, mend: null };
}

export function warn(name: string, detail: string, mend: string | null = null): Finding {
  return { name, status: 'warn', detail, mend };
}

export function fail(name: string, detail: string, mend: string | null): Finding {
  return { name, status: 'fail', detail, mend };
}

/** What people are shown: a line a finding, and below it what mends it. */
export function findingsReport(findings: readonly Finding[]): string {
  const lines = formatTable(
    ['', '', ''],
    findings.map(({ status, name, detail }) => [status, name, detail]),
  );
  return lines
    .split('\n')
    .slice(1)
    .flatMap((line, index) => {
      const mend = findings[index]?.mend;
      return mend ? [line, `      → ${oneLine(mend)}`] : [line];
    })
    .join('\n');
}
