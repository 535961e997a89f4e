import { readFileSync } from 'node:fs';

/** Where nobody can tell, time runs a little faster or slower in the guest. */
const USUAL_KHZ = 2_500_000;

/** What the host's processor is sold as comes nearest to how fast its counter goes; else how fast it is now. */
export function hostCounterKhz(): number {
  const text = readFileSync('/proc/cpuinfo', 'utf8');
  const sold = /^model name\s*:.*@ (\d+\.\d+)GHz/mu.exec(text)?.[1];
  if (sold !== undefined) return Math.round(Number(sold) * 1_000_000);
  const now = /^cpu MHz\s*:\s*(\d+\.\d+)/mu.exec(text)?.[1];
  return now === undefined ? USUAL_KHZ : Math.round(Number(now) * 1000);
}
