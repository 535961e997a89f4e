/** One line of a doctor's report. */
export interface Finding {
  name: string;
  /** `fail`: something that is required is missing. `warn`: something can be done without it. */
  status: 'ok' | 'warn' | 'fail';
  detail: string;
  /** A command that mends it, as printed; null when there is nothing to mend or no command that does. */
  mend: string | null;
}

/** Whom the machine is examined for. */
export interface Patient {
  uid: number;
  name: string;
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

/** A command as this user has to type it when it needs root. */
export function asRoot(patient: Patient, command: string): string {
  return patient.uid === 0 ? command : `sudo ${command}`;
}
