import { hostname } from 'node:os';
import type Sqlite from 'better-sqlite3';
import { writeLockOwner } from '../system/file-locks.ts';
import { oneLine } from '../text.ts';

/** WAL_WRITE_LOCK, in the -shm file (SQLite, os_unix.c: UNIX_SHM_BASE; walformat.html, section 2.3). */
const WAL_WRITE_BYTE = 120;
/** SHARED_FIRST, in the database (os.h): whoever writes there wants it for itself, as `locking_mode = EXCLUSIVE` does. */
const SHARED_FIRST_BYTE = 0x40000002;

/** Who is writing to a database, for a message; null where that cannot be told. */
export function describeWriter(sqlite: Sqlite.Database | undefined, path: string): string | null {
  const owner = writeLockOwner(`${path}-shm`, WAL_WRITE_BYTE) ?? writeLockOwner(path, SHARED_FIRST_BYTE);
  if (owner === null) return null;
  const name = commandOf(sqlite, owner.pid) ?? owner.program;
  return `'${oneLine(name)}' is writing to the registry (pid ${owner.pid})`;
}

/** What the run of a process was started as, as far as the registry may be read. */
function commandOf(sqlite: Sqlite.Database | undefined, pid: number): string | null {
  try {
    const query = 'SELECT command FROM runs WHERE pid = ? AND host = ? ORDER BY started_at DESC';
    const command = sqlite?.prepare(query).pluck().get(pid, hostname());
    return typeof command === 'string' ? command : null;
  } catch {
    return null;
  }
}
