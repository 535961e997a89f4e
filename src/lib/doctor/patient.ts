/** Whom the machine is examined for. */
export interface Patient {
  uid: number;
  name: string;
}

/** A command as this user has to type it when it needs root. */
export function asRoot(patient: Patient, command: string): string {
  return patient.uid === 0 ? command : `sudo ${command}`;
}
