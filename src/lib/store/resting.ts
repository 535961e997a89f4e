import { readFileSync, statSync } from 'node:fs';

/** Where a database says that it is in WAL mode (2) or not (1): file format write and read version (fileformat2.html). */
const WRITE_VERSION = 18;
const READ_VERSION = 19;
const NOT_WAL = 1;
/** How often it is read again when somebody was at work on it. */
const TURNS = 5;

/**
 * A WAL database that nobody has open, as bytes to be opened in memory: on a read-only filesystem, or in a directory that
 * this user may not write to, SQLite cannot make the files beside it that it needs even to read. Not `immutable=1`: the
 * directory may be writable to others, who would change the file while it is read.
 * @returns null where it cannot be read so: it cannot be read at all, or a -wal holds what is not in it yet
 */
export function readResting(path: string): Buffer | null {
  try {
    for (let turn = 0; turn < TURNS; turn += 1) {
      const before = stateOf(path);
      if (before === null) return null;
      const bytes = readFileSync(path);
      if (stateOf(path) !== before || bytes.length <= READ_VERSION) continue;
      bytes[WRITE_VERSION] = NOT_WAL;
      bytes[READ_VERSION] = NOT_WAL;
      return bytes;
    }
  } catch {
    // What SQLite said of it is the error to tell.
  }
  return null;
}

/** What changes with the file, unless somebody has it open for writing, or died while he had: null. */
function stateOf(path: string): string | null {
  if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) return null;
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}
