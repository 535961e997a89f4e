import { readdirSync, readFileSync, statSync } from 'node:fs';

/** A process that holds a lock on a file. */
export interface LockOwner {
  pid: number;
  /** The name of its program. */
  program: string;
}

/** `1: POSIX  ADVISORY  WRITE 812 fe:00:1234 120 120`; the end may be EOF (proc_locks(5)). */
const POSIX_WRITE =
  /^\d+: POSIX +\w+ +WRITE (?<pid>\d+) [0-9a-f]+:[0-9a-f]+:(?<inode>\d+) (?<first>\d+) (?<last>\d+|EOF)$/u;

/**
 * The process that holds a POSIX write lock on a byte of a file, or null where the kernel does not tell: there is none, or
 * it is in a PID namespace, or of a user, that this process does not see into.
 */
export function writeLockOwner(path: string, byte: number): LockOwner | null {
  try {
    const { ino } = statSync(path, { bigint: true });
    for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
      const found = POSIX_WRITE.exec(line)?.groups;
      if (found?.inode !== String(ino) || Number(found.first) > byte) continue;
      if (found.last !== 'EOF' && Number(found.last) < byte) continue;
      const pid = Number(found.pid);
      // A number of an inode is one of its own filesystem's, which some filesystems name otherwise than stat(2) does.
      if (hasOpen(pid, path)) return { pid, program: programOf(pid) };
    }
  } catch {
    // No /proc, or no file: an answer that is good to have, not one that is needed.
  }
  return null;
}

function hasOpen(pid: number, path: string): boolean {
  const wanted = statSync(path, { bigint: true });
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    const found = statSync(`/proc/${pid}/fd/${fd}`, { bigint: true, throwIfNoEntry: false });
    return found?.ino === wanted.ino && found.dev === wanted.dev;
  });
}

function programOf(pid: number): string {
  const [argv0 = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  return argv0.split('/').pop() ?? '';
}

/** `7: FLOCK  ADVISORY  WRITE 812 fe:00:1234 0 EOF`; who only waits has an arrow before it (proc_locks(5)). */
const FLOCK = /^\d+: FLOCK +\w+ +(?:READ|WRITE) \d+ [0-9a-f]+:[0-9a-f]+:(?<inode>\d+) /u;

/** Whether a process holds a file locked (flock(2)), as far as the kernel tells; some other file's lock may look the same. */
export function isFlocked(path: string): boolean {
  try {
    const { ino } = statSync(path, { bigint: true });
    const lines = readFileSync('/proc/locks', 'utf8').split('\n');
    return lines.some((line) => FLOCK.exec(line)?.groups?.inode === String(ino));
  } catch {
    // No /proc, or no file: an answer that is good to have, not one that is needed.
    return false;
  }
}
