import { userInfo } from 'node:os';
import { loadConfig } from '../config.ts';
import { BangerError } from '../errors.ts';
import type { Finding } from '../finding.ts';
import { layoutOf } from '../layout.ts';
import { examineBuilder } from './builder.ts';
import type { Patient } from './patient.ts';
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
    ...(await examineBuilder(patient, config.cacheDir, options.signal)),
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

/** @throws BangerError `preflight_failed` with all findings when something required is missing */
export function assertHealthy(findings: readonly Finding[]): void {
  const failed = findings.filter(({ status }) => status === 'fail');
  if (failed.length === 0) return;
  throw new BangerError('preflight_failed', `not ready: ${failed.map(({ name }) => name).join(', ')}`, {
    hints: failed.flatMap(({ mend }) => mend ?? []),
    details: { findings },
  });
}
