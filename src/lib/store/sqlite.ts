import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import { BangerError } from '../errors.ts';
import { sqliteAddon } from './addon.ts';

/**
 * Opens a database: a file, or the bytes of one.
 * @throws BangerError `preflight_failed` when its directory is not there or cannot be looked at, which better-sqlite3
 *   takes for a mistake of its caller's
 */
export function openSqlite(file: string | Buffer, options: Sqlite.Options): Sqlite.Database {
  const addon = sqliteAddon();
  // Typed as a path only, but better-sqlite3 13 takes the addon itself too (lib/binding.js).
  const all = addon === null ? options : { ...options, nativeBinding: addon as unknown as string };
  try {
    return new Sqlite(file, all);
  } catch (error) {
    if (!(error instanceof TypeError) || typeof file !== 'string') throw error;
    const directory = dirname(file);
    throw new BangerError('preflight_failed', `${file}: its directory is gone or cannot be looked at`, {
      hints: [`ls -ld '${directory}'`, 'run the command again'],
      cause: error,
    });
  }
}

export function sqliteVersion(): string {
  const memory = openSqlite(':memory:', {});
  try {
    return String(memory.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    memory.close();
  }
}
