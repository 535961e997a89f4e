import type Sqlite from 'better-sqlite3';
import { compilerOf } from './compiler.ts';

/** The digest of a file's content, as it was found once. */
export interface FileDigest {
  /** Which file. */
  file: string;
  /** What changes with its content. */
  stamp: string;
  /** SHA-256, in hex. */
  digest: string;
  /** The day it was last of use, in days since 1970. */
  used_on: number;
}

const sql = compilerOf<{ file_digests: FileDigest & { area: number } }>();

/** `bdig`: marks a SQLite file as such a cache (PRAGMA application_id). */
const APPLICATION_ID = 0x62646967;
/** PRAGMA user_version: counts what the table has been. */
const FORMAT = 1;
const TABLE = `
CREATE TABLE file_digests (
  area INTEGER NOT NULL,
  file TEXT NOT NULL,
  stamp TEXT NOT NULL,
  digest TEXT NOT NULL CHECK (length(digest) = 64),
  used_on INTEGER NOT NULL,
  PRIMARY KEY (area, file)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${FORMAT};
`;
/** What was of no use for so long is forgotten, in days. */
const KEPT_DAYS = 30;
/** Beyond this (some 1.5 million files) only the area that is being written is kept, in bytes. */
const LIMIT_BYTES = 256 * 1024 * 1024;

export type TableState = 'ours' | 'empty' | 'another format';

export function tableStateOf(sqlite: Sqlite.Database): TableState {
  const pragma = (name: string): number => Number(sqlite.pragma(name, { simple: true }));
  const [application, format] = [pragma('application_id'), pragma('user_version')];
  if (application === APPLICATION_ID && format === FORMAT) return 'ours';
  const tables = sqlite.prepare('SELECT count(*) FROM sqlite_schema').pluck().get();
  return application === 0 && format === 0 && tables === 0 ? 'empty' : 'another format';
}

export function makeTable(sqlite: Sqlite.Database): void {
  sqlite.exec(TABLE);
}

/** All of an area, by file. */
export function readArea(sqlite: Sqlite.Database, area: number): Map<string, FileDigest> {
  const query = sql
    .selectFrom('file_digests')
    .select(['file', 'stamp', 'digest', 'used_on'])
    .where('area', '=', area)
    .compile();
  const found = new Map<string, FileDigest>();
  for (const row of sqlite.prepare(query.sql).iterate(...query.parameters)) {
    const known = row as FileDigest;
    found.set(known.file, known);
  }
  return found;
}

/** Adds rows to an area, or replaces them. Compiled once: compiling takes longer than writing a row. */
export function writeArea(sqlite: Sqlite.Database, area: number, rows: readonly FileDigest[]): void {
  const row = { area, file: '', stamp: '', digest: '', used_on: 0 };
  const statement = sqlite.prepare(sql.replaceInto('file_digests').values(row).compile().sql);
  for (const { file, stamp, digest, used_on } of rows) statement.run(area, file, stamp, digest, used_on);
}

/** Makes room: for what is old, and beyond a limit for all but one area. */
export function forget(
  sqlite: Sqlite.Database,
  area: number,
  { today, limitBytes = LIMIT_BYTES }: { today: number; limitBytes?: number },
): void {
  const old = sql
    .deleteFrom('file_digests')
    .where('used_on', '<', today - KEPT_DAYS)
    .compile();
  sqlite.prepare(old.sql).run(...old.parameters);
  const pragma = (name: string): number => Number(sqlite.pragma(name, { simple: true }));
  if ((pragma('page_count') - pragma('freelist_count')) * pragma('page_size') <= limitBytes) return;
  const others = sql.deleteFrom('file_digests').where('area', '!=', area).compile();
  sqlite.prepare(others.sql).run(...others.parameters);
}
