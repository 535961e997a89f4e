import { join } from 'node:path';
import { artifactFault } from '../image/requirements.ts';
import type { Layout } from '../layout.ts';
import type { Store } from '../store/store.ts';
import { listVms, vmById } from '../store/vms.ts';
import { isMissing } from '../system/filesystem.ts';
import { VM_FILES, vmDirectory } from '../vm/disks.ts';
import { type Diagnosis, incurable } from './finding.ts';

/** VMs that have lost a disk, or whose disk is none. What is in a disk is the guest's: a journal that was not replayed is no fault. */
export async function examineVms(store: Store, layout: Layout): Promise<Diagnosis[]> {
  const found: Diagnosis[] = [];
  for (const { id, name, has_work_disk } of listVms(store)) {
    for (const disk of has_work_disk === 1 ? (['rootfs', 'work'] as const) : (['rootfs'] as const)) {
      const path = join(vmDirectory(layout, id), VM_FILES[disk]);
      const fault = await artifactFault(disk === 'work' ? 'workSeed' : 'rootfs', path);
      // One that was deleted while it was looked at is not broken.
      if (fault === null || vmById(store, id) === undefined) continue;
      const problem = isMissing(path) ? 'missing_file' : 'unusable_file';
      found.push(incurable({ problem, path, detail: `VM ${name}: ${fault}` }, `banger vm delete ${name}`));
    }
  }
  return found;
}
