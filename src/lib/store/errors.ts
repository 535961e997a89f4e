import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { BangerError, errnoOf } from '../errors.ts';
import { hasDiskFailed } from '../system/durable.ts';
import { existingPart } from '../system/filesystem.ts';
import { isFull, noSpaceLeft } from '../system/room.ts';

/**
 * A COMMIT that reported failure may still have reached the disk (its WAL frames can be replayed after this process
 * has ended), so whoever sees this must not undo anything: the next holder of the lock reads the row and decides.
 */
export class UnknownCommitError extends BangerError {
  override readonly name = 'UnknownCommitError';

  constructor(path: string, cause: unknown) {
    super('tool_failed', `${path}: the commit failed and its outcome is not known: ${reason(cause)}`, {
      hints: [
        'check the disk, then run any command that changes images: it settles what was left',
        'banger operation list',
      ],
      cause,
    });
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The SQLite result code of an error (`SQLITE_BUSY`, `SQLITE_BUSY_SNAPSHOT`, …), or undefined. */
export function sqliteCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_')
    ? String(error.code)
    : undefined;
}

export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/u.test(sqliteCode(error) ?? '');
}

/** The same of an error that has been put into our words. */
export function isBusyError(error: unknown): boolean {
  return error instanceof BangerError && isBusy(error.cause);
}

/**
 * No space left: SQLite says FULL for a write, and an I/O error for what it maps or truncates, or when a quota is used
 * up. An error that has been put into our words already is judged by its cause.
 */
export function isOutOfSpace(error: unknown): boolean {
  const reported = error instanceof BangerError ? error.cause : error;
  return (
    /^SQLITE_(FULL|IOERR_(WRITE|SHMSIZE|SHMOPEN|TRUNCATE|FSTAT)|CANTOPEN)$/u.test(
      sqliteCode(reported) ?? '',
    ) || ['ENOSPC', 'EDQUOT'].includes(errnoOf(reported) ?? '')
  );
}

/** Whether a lack of space is behind an error that says no more than that a file could not be made or grown. */
function isShort(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return isFull(directory);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

/** What SQLite says of a schema that lacks something; it has no code for that. */
const MISSING = /^no such (?:table|column)|^table \S+ has no column named/u;

/**
 * What SQLite reports, in this program's own errors; anything else is returned as it is.
 * @param writer who is writing to the database, where that is known
 */
export function storeError(error: unknown, path: string, writer: string | null = null): unknown {
  const code = sqliteCode(error);
  if (code === undefined) return error;
  const why = reason(error);
  if (code === 'SQLITE_FULL' || (isOutOfSpace(error) && isShort(dirname(path)))) {
    return noSpaceLeft(path, existingPart(path), { said: why, cause: error });
  }
  // A read that could not begin for seconds, because of a lock that was never let go of (rescode, SQLITE_PROTOCOL).
  if (isBusy(error) || code === 'SQLITE_PROTOCOL') {
    return new BangerError('busy', `${path}: ${writer ?? 'another program holds the database'}: ${why}`, {
      hints: ['run the command again', 'banger operation list'],
      cause: error,
    });
  }
  // Its version says which tables it has: without one of them it is as good as cut short.
  const isDamaged = /^SQLITE_(CORRUPT|NOTADB)/u.test(code) || (code === 'SQLITE_ERROR' && MISSING.test(why));
  if (isDamaged && !hasDiskFailed(path)) {
    return new BangerError('corrupt', `${path}: is damaged or not a database: ${why}`, {
      hints: ['banger doctor', `move it away and register your images again: mv '${path}' '${path}.damaged'`],
      cause: error,
    });
  }
  if (/^SQLITE_(CANTOPEN|READONLY|PERM|AUTH)/u.test(code)) {
    return new BangerError('preflight_failed', `${path}: cannot be opened for this: ${why}`, {
      hints: [`check owner and mode: ls -ld '${path}' "$(dirname '${path}')"`, 'banger doctor'],
      cause: error,
    });
  }
  if (isDamaged || code.startsWith('SQLITE_IOERR')) {
    return new BangerError('tool_failed', `${path}: the disk returned an error: ${why} (${code})`, {
      hints: [`df -h '${path}'`, 'dmesg | tail'],
      cause: error,
    });
  }
  return error;
}
