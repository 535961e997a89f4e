import { assertVmFree, recordOperation } from '../operation.ts';
import { removeDirectory, setAside } from '../recovery.ts';
import { imageById } from '../store/images.ts';
import { finishOperation } from '../store/operations.ts';
import type { VmRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { deleteVm } from '../store/vms.ts';
import type { Workspace } from '../workspace.ts';
import { vmDirectory } from './disks.ts';
import { findVm } from './find.ts';

/** Resolves references to VMs, each once. */
export function findVms(store: Store | null, refs: readonly string[]): VmRow[] {
  const found = refs.map((ref) => findVm(store, ref));
  return found.filter((vm, index) => found.findIndex((other) => other.id === vm.id) === index);
}

/**
 * Deletes VMs with their disks, all or none: first their rows, in one transaction; then the directories are renamed aside
 * and removed. Killed in between, the next command carries on.
 * @throws BangerError `conflict` while one runs; `not_found`, `usage`
 */
export async function deleteVms(workspace: Workspace, refs: readonly string[]): Promise<VmRow[]> {
  const { store, layout } = workspace;
  const doomed = await workspace.locked((lock) => {
    const decided = store.write(() => {
      lock.assertOurs();
      const vms = findVms(store, refs);
      for (const vm of vms) assertVmFree(store, vm);
      return vms.map((vm) => {
        const { id, artifact_dir } = recordOperation(workspace, {
          kind: 'vm_delete',
          imageId: vm.image_id,
          imageName: imageById(store, vm.image_id)?.name ?? vm.image_id,
          vm,
          reservations: [],
          artifactDir: vmDirectory(layout, vm.id),
        });
        deleteVm(store, vm.id);
        return { vm, operationId: id, directory: artifact_dir };
      });
    });
    return decided.map(({ vm, operationId, directory }) => ({
      ...{ vm, operationId },
      directories: directory === null ? [] : setAside([directory], operationId),
    }));
  });
  for (const { operationId, directories } of doomed) {
    for (const directory of directories) await removeDirectory(directory);
    store.write(() => finishOperation(store, operationId, 'succeeded'));
  }
  return doomed.map(({ vm }) => vm);
}
