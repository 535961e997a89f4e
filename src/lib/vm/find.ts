import { findByReference } from '../reference.ts';
import type { VmRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { listVms, vmById, vmByName, vmsByIdPrefix } from '../store/vms.ts';

/**
 * @param store null where nothing was ever made
 * @throws BangerError `not_found`, `usage`: as findByReference
 */
export function findVm(store: Store | null, ref: string): VmRow {
  const shelf = store && {
    byId: (id: string) => vmById(store, id),
    byName: (name: string) => vmByName(store, name),
    byIdPrefix: (prefix: string) => vmsByIdPrefix(store, prefix),
    names: () => listVms(store).map(({ name }) => name),
  };
  return findByReference(shelf, 'vm', ref);
}
