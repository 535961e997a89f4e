import { join } from 'node:path';
import { artifactFault } from '../image/requirements.ts';
import type { Layout } from '../layout.ts';
import type { Store } from '../store/store.ts';
import { listVms, vmById } from '../store/vms.ts';
import { isMissing } from '../system/filesystem.ts';
import { VM_FILES, vmDirectory } from '../vm/disks.ts';
import { type Diagnosis, incurable } from './finding.ts';

/** VMs whose root disk is gone, or is none. What is in a disk is the guest's: a journal that was not replayed is no fault. */
export async function examineVms(store: Store, layout: Layout): Promise<Diagnosis[]> {
  const found: Diagnosis[] = [];
  for (const { id, name } of listVms(store)) {
    const path = join(vmDirectory(layout, id), VM_FILES.rootfs);
    const fault = await artifactFault('rootfs', path);
    // One that was deleted while it was looked at is not broken.
    if (fault === null || vmById(store, id) === undefined) continue;
    const problem = isMissing(path) ? 'missing_file' : 'unusable_file';
    found.push(incurable({ problem, path, detail: `VM ${name}: ${fault}` }, `banger vm delete ${name}`));
  }
  return found;
}
