import { DefaultQueryExecutor, QueryCreator, SqliteAdapter, SqliteQueryCompiler } from 'kysely';
import type { Schema } from './schema.ts';

/**
 * Kysely as a typed SQL compiler: it never runs a query. better-sqlite3 does, synchronously, so that nothing can be
 * awaited inside a transaction. Of kysely's instance with all its parts no more than that is made: a list starts a few
 * milliseconds sooner.
 */
export function compilerOf<S>(): QueryCreator<S> {
  return new QueryCreator<S>({
    executor: new DefaultQueryExecutor(new SqliteQueryCompiler(), new SqliteAdapter(), {
      provideConnection: () => Promise.reject(new Error('queries are compiled here, not run')),
    }),
  });
}

/** The registry's. */
export const sql = compilerOf<Schema>();
