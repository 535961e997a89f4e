import Sqlite from 'better-sqlite3';
import { sqliteAddon } from './addon.ts';

/** Opens a database file. */
export function openSqlite(path: string, options: Sqlite.Options): Sqlite.Database {
  const addon = sqliteAddon();
  // Typed as a path only, but better-sqlite3 13 takes the addon itself too (lib/binding.js).
  return new Sqlite(
    path,
    addon === null ? options : { ...options, nativeBinding: addon as unknown as string },
  );
}

export function sqliteVersion(): string {
  const memory = openSqlite(':memory:', {});
  try {
    return String(memory.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    memory.close();
  }
}
