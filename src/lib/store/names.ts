import type { Layout } from '../layout.ts';
import { isMissing } from '../system/filesystem.ts';
import { openSqlite } from './sqlite.ts';

/** What can be named on a command line. */
export type Named = 'images' | 'vms' | 'operations';

/** Written out: completion waits for nothing that is not needed, and a query builder is not. */
const QUERIES: Readonly<Record<Named, string>> = {
  images: 'SELECT name FROM images ORDER BY name',
  vms: 'SELECT name FROM vms ORDER BY name',
  operations: 'SELECT substr(id, 1, 12) FROM operations ORDER BY started_at DESC LIMIT 50',
};

/** Names for completion; none where there is no registry. Changes nothing. */
export function readNames({ database }: Pick<Layout, 'database'>, named: Named): string[] {
  if (isMissing(database)) return [];
  const sqlite = openSqlite(database, { readonly: true, fileMustExist: true, timeout: 200 });
  try {
    return sqlite.prepare(QUERIES[named]).pluck().all().map(String);
  } finally {
    sqlite.close();
  }
}
