import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/**
 * What an interrupted whole run has been through: the next one goes on where it ended. scripts/torture names the file,
 * one for each commit that is tried.
 */
const file = process.env.BANGER_TORTURE_PASSED;

const passed = new Set(file !== undefined && existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []);

export function passedBefore(trial: string): boolean {
  return passed.has(trial);
}

export function recordPassed(trial: string): void {
  if (file !== undefined) appendFileSync(file, `${trial}\n`);
}
