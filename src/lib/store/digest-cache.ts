import { lstatSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type Sqlite from 'better-sqlite3';
import { BangerError, errnoOf } from '../errors.ts';
import { makePrivateDirectory } from '../system/private-directory.ts';
import { removeFile } from '../system/remove.ts';
import { type FileDigest, forget, makeTable, readArea, tableStateOf, writeArea } from './digest-table.ts';
import { sqliteCode } from './errors.ts';
import { openSqlite } from './sqlite.ts';

/** How long to wait for another process, in milliseconds: to read the files again may be quicker. */
const BUSY_TIMEOUT_MS = 500;

/** No database, or one that is not to be used. */
class NotUsable extends Error {}
/** One that holds something else than it should. */
class Damaged extends Error {}

/**
 * Digests of files in a database of their own, which nobody needs: when it is not there, cannot be read or written, is
 * in use or damaged, then nothing is known, or nothing remembered; that is never an error. A damaged one is thrown away. One
 * that another user owns is not believed. It has a rollback journal and is synced: in a row that was written halfway when the
 * power went, a new stamp might stand beside an old digest.
 */
export class DigestCache {
  readonly #path: string;
  readonly #area: number;

  /** @param area of all files those that are asked for together: an integer below 2^53 */
  constructor(path: string, area: number) {
    this.#path = path;
    this.#area = area;
  }

  /** All of the area, by file. */
  load(): Map<string, FileDigest> {
    let found = new Map<string, FileDigest>();
    this.#attempt(() => {
      this.#refuseForeign({ mayBeMissing: false });
      this.#withDatabase({ fileMustExist: true }, (sqlite) => {
        if (tableStateOf(sqlite) !== 'ours') throw new Damaged();
        found = readArea(sqlite, this.#area);
      });
    });
    return found;
  }

  /** Adds to the area, or replaces; whether that could be done. */
  save(rows: readonly FileDigest[], today: number): boolean {
    const write = (): void => {
      makePrivateDirectory(dirname(this.#path));
      this.#refuseForeign({ mayBeMissing: true });
      this.#withDatabase({}, (sqlite) => {
        if (tableStateOf(sqlite) === 'empty') makeTable(sqlite);
        if (tableStateOf(sqlite) !== 'ours') throw new Damaged();
        forget(sqlite, this.#area, { today });
        writeArea(sqlite, this.#area, rows);
      });
    };
    const outcome = this.#attempt(write);
    return outcome === 'done' || (outcome === 'thrown away' && this.#attempt(write) === 'done');
  }

  #refuseForeign({ mayBeMissing }: { mayBeMissing: boolean }): void {
    const user = process.geteuid?.();
    const file = lstatSync(this.#path, { throwIfNoEntry: false });
    const isFileOurs = file === undefined ? mayBeMissing : file.isFile() && file.uid === user;
    // Who may write to the directory could put a journal there that changes what is read.
    if (!isFileOurs || statSync(dirname(this.#path)).uid !== user) throw new NotUsable();
  }

  #withDatabase(options: Sqlite.Options, use: (sqlite: Sqlite.Database) => void): void {
    const sqlite = openSqlite(this.#path, { ...options, timeout: BUSY_TIMEOUT_MS });
    try {
      const transaction = sqlite.transaction(() => use(sqlite));
      if (options.fileMustExist) transaction.deferred();
      else transaction.immediate();
    } finally {
      sqlite.close();
    }
  }

  #attempt(use: () => void): 'done' | 'thrown away' | 'failed' {
    try {
      use();
      return 'done';
    } catch (error) {
      if (isDamage(error)) return this.#throwAway();
      if (!isTrouble(error)) throw error;
      return 'failed';
    }
  }

  #throwAway(): 'thrown away' | 'failed' {
    try {
      // First what SQLite would take for an unfinished transaction of the next database.
      removeFile(`${this.#path}-journal`);
      removeFile(this.#path);
      return 'thrown away';
    } catch (error) {
      if (!isTrouble(error)) throw error;
      return 'failed';
    }
  }
}

/** SQLite has no code of its own for a table that lacks something. */
function isDamage(error: unknown): boolean {
  return error instanceof Damaged || /^SQLITE_(?:CORRUPT|NOTADB|ERROR)/u.test(sqliteCode(error) ?? '');
}

function isTrouble(error: unknown): boolean {
  const isStorage = sqliteCode(error) !== undefined || errnoOf(error) !== undefined;
  return isStorage || error instanceof NotUsable || error instanceof BangerError;
}
