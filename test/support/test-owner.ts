import { readFileSync } from 'node:fs';

/** When a process started, in clock ticks since boot (proc(5), field 22 of stat); '' when it is gone. */
function startTime(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** A process as a word that outlives it: ids are used again, ids with start times are not. */
export function ownerOf(pid: number): string {
  return `${pid}-${startTime(pid)}`;
}

export function isOwnerAlive(owner: string): boolean {
  const [pid, start] = owner.split('-');
  return start !== '' && startTime(Number(pid)) === start;
}
