import type Sqlite from 'better-sqlite3';
import type { Compilable, CompiledQuery } from 'kysely';
import { isBusy, isBusyError, sqliteCode, storeError, UnknownCommitError } from './errors.ts';
import type { Reserve } from './reserve.ts';
import { describeWriter } from './writer.ts';

/**
 * An open registry. Every call is synchronous; a transaction is a plain function, so nothing but SQL can be waited
 * for inside it. Errors come out as BangerErrors (7 busy, 11 damaged, 6 not usable or full, 9 I/O).
 */
export class Store {
  readonly path: string;
  readonly #sqlite: Sqlite.Database;
  readonly #reserve: Reserve;
  readonly #statements = new Map<string, Sqlite.Statement>();

  constructor(path: string, sqlite: Sqlite.Database, reserve: Reserve) {
    this.path = path;
    this.#sqlite = sqlite;
    this.#reserve = reserve;
  }

  all<O>(query: Compilable<O>): O[] {
    return this.#guarded(() => {
      const { sql, parameters } = query.compile();
      return this.#prepare(sql).all(...parameters) as O[];
    });
  }

  get<O>(query: Compilable<O>): O | undefined {
    return this.#guarded(() => {
      const { sql, parameters } = query.compile();
      return this.#prepare(sql).get(...parameters) as O | undefined;
    });
  }

  /** Runs a statement that changes rows and returns how many it changed. */
  change(query: { compile(): CompiledQuery<unknown> }): number {
    return this.#guarded(() => {
      const { sql, parameters } = query.compile();
      return this.#prepare(sql).run(...parameters).changes;
    });
  }

  /** A pragma's one value: `integrity_check`, `user_version`, … */
  pragma(name: string): unknown {
    return this.#guarded(() => this.#sqlite.pragma(name, { simple: true }));
  }

  /** All rows that a pragma returns: `foreign_key_check`. */
  pragmaRows(name: string): unknown[] {
    return this.#guarded(() => this.#sqlite.pragma(name) as unknown[]);
  }

  /** Several reads that see one state of the database. */
  snapshot<T>(read: () => T): T {
    return this.#guarded(() => this.#sqlite.transaction(read).deferred());
  }

  /**
   * A write transaction (BEGIN IMMEDIATE: a deferred one that reads first fails with BUSY_SNAPSHOT whatever the
   * timeout). `change` runs inside it and must not keep the store for later. On a full disk it runs a second time, the
   * reserve given up: what it does besides SQL must bear being repeated.
   * @throws UnknownCommitError when COMMIT itself failed
   */
  write<T>(change: () => T): T {
    return this.#guarded(() => this.#reserve.lend(() => this.#immediate(change)));
  }

  /** As `write`, but `busy` at once when another connection is writing. */
  tryWrite<T>(change: () => T): T | 'busy' {
    this.#sqlite.pragma('busy_timeout = 0');
    try {
      return this.#reserve.lend(() => this.#immediate(change));
    } catch (error) {
      if (isBusy(error) || isBusyError(error)) return 'busy';
      throw storeError(error, this.path);
    } finally {
      this.#sqlite.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
  }

  /** Who is writing to it just now, for a message; null where that cannot be told. */
  describeWriter(): string | null {
    return describeWriter(this.#sqlite, this.path);
  }

  close(): void {
    // The last writer moves the log into the database, which may have to grow for it.
    if (!this.#sqlite.readonly) this.#reserve.giveUpWhenShort();
    this.#sqlite.close();
    this.#reserve.takeBack();
  }

  #prepare(sql: string): Sqlite.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#sqlite.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #immediate<T>(change: () => T): T {
    this.#sqlite.exec('BEGIN IMMEDIATE');
    try {
      const result = change();
      this.#commit();
      return result;
    } catch (error) {
      if (this.#sqlite.inTransaction) this.#sqlite.exec('ROLLBACK');
      throw error;
    }
  }

  #commit(): void {
    try {
      this.#sqlite.exec('COMMIT');
    } catch (error) {
      // Of these two it is known: nothing was waited for, or the frame that commits was not written.
      if (isBusy(error) || sqliteCode(error) === 'SQLITE_FULL') throw error;
      throw new UnknownCommitError(this.path, error);
    }
  }

  #guarded<T>(use: () => T): T {
    try {
      return use();
    } catch (error) {
      throw storeError(error, this.path, isBusy(error) ? this.describeWriter() : null);
    }
  }
}

/** How long a statement waits for another connection, in milliseconds; write transactions last far less. */
export const BUSY_TIMEOUT_MS = 5000;
