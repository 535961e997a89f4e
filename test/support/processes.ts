import { readdirSync, readFileSync } from 'node:fs';

export interface RunningProgram {
  pid: number;
  /** The name of the program, at most 15 characters (proc(5), comm). */
  name: string;
}

interface Entry extends RunningProgram {
  parent: number;
}

function readEntry(pid: number): Entry[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // pid (comm) state ppid; a name may hold anything, brackets too
    const end = stat.lastIndexOf(')');
    return [
      {
        pid,
        name: stat.slice(stat.indexOf('(') + 1, end),
        parent: Number(stat.slice(end + 2).split(' ')[1]),
      },
    ];
  } catch {
    // It has ended.
    return [];
  }
}

/** Every process that a process started, and those that these started: parents before their children. */
export function descendantsOf(pid: number): RunningProgram[] {
  const entries = readdirSync('/proc')
    .filter((name) => /^\d+$/u.test(name))
    .flatMap((name) => readEntry(Number(name)));
  const below = (parent: number): RunningProgram[] =>
    entries
      .filter((entry) => entry.parent === parent)
      .flatMap(({ pid: child, name }) => [{ pid: child, name }, ...below(child)]);
  return below(pid);
}
