import { userInfo } from 'node:os';
import { loadConfig } from '../config.ts';
import { BangerError } from '../errors.ts';
import { layoutOf } from '../layout.ts';
import { formatTable } from '../table.ts';
import { oneLine } from '../text.ts';
import type { Finding, Patient } from './finding.ts';
import { examineSandbox } from './sandbox.ts';
import { examineState } from './state.ts';
import { examineTools } from './tools.ts';

export interface DoctorOptions {
  stateDir?: string | undefined;
  signal?: AbortSignal;
}

/** Examines the machine for the user who asks. Makes nothing but a probe for reflink, which is removed again. */
export async function examine(options: DoctorOptions = {}): Promise<Finding[]> {
  const config = await loadConfig({ stateDir: options.stateDir });
  const patient = whoAsks();
  const tools = await examineTools(patient, options.signal);
  return [
    ...tools,
    ...(await examineSandbox(patient, options.signal)),
    ...(await examineState(layoutOf(config.stateDir), patient)),
  ];
}

/** A user without an entry in /etc/passwd is known by number alone. */
function whoAsks(): Patient {
  const uid = process.geteuid?.() ?? 0;
  try {
    return { uid, name: userInfo().username };
  } catch {
    return { uid, name: String(uid) };
  }
}

/** What `doctor` prints for people: a line a finding, and below it the command that mends it. */
export function doctorReport(findings: readonly Finding[]): string {
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

/** @throws BangerError `preflight_failed` with all findings when something required is missing */
export function assertHealthy(findings: readonly Finding[]): void {
  const failed = findings.filter(({ status }) => status === 'fail');
  if (failed.length === 0) return;
  throw new BangerError('preflight_failed', `not ready: ${failed.map(({ name }) => name).join(', ')}`, {
    hints: failed.flatMap(({ mend }) => mend ?? []),
    details: { findings },
  });
}
