import type { Store } from './store.ts';

/** A row whose parent is missing (PRAGMA foreign_key_check). */
export interface ForeignKeyViolation {
  table: string;
  rowid: number;
  parent: string;
}

export function foreignKeyViolations(store: Store): ForeignKeyViolation[] {
  return store.pragmaRows('foreign_key_check') as ForeignKeyViolation[];
}
