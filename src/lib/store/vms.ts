import { sql } from './compiler.ts';
import type { VmRow } from './schema.ts';
import type { Store } from './store.ts';

/** The schema before this one knew nothing of ports, and nothing made VMs then. */
function complete(row: VmRow): VmRow {
  return { ...row, ssh_port: row.ssh_port ?? null, has_work_disk: row.has_work_disk ?? 0 };
}

export function listVms(store: Store): VmRow[] {
  return store.all(sql.selectFrom('vms').selectAll().orderBy('name')).map(complete);
}

export function vmById(store: Store, id: string): VmRow | undefined {
  const row = store.get(sql.selectFrom('vms').selectAll().where('id', '=', id));
  return row && complete(row);
}

export function vmByName(store: Store, name: string): VmRow | undefined {
  const row = store.get(sql.selectFrom('vms').selectAll().where('name', '=', name));
  return row && complete(row);
}

/** The VMs whose id begins with `prefix` (hex digits only: no LIKE wildcard is possible). */
export function vmsByIdPrefix(store: Store, prefix: string): VmRow[] {
  const found = sql.selectFrom('vms').selectAll().where('id', 'like', `${prefix}%`);
  return store.all(found.orderBy('name')).map(complete);
}

export function insertVm(store: Store, row: VmRow): void {
  store.change(sql.insertInto('vms').values(row));
}

export function deleteVm(store: Store, id: string): void {
  store.change(sql.deleteFrom('vms').where('id', '=', id));
}

/** @param port null once it leads nowhere any more */
export function setSshPort(store: Store, id: string, port: number | null): void {
  store.change(sql.updateTable('vms').set({ ssh_port: port }).where('id', '=', id));
}
