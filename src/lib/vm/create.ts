import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { newId } from '../id.ts';
import { findImage } from '../image/find.ts';
import { assertValidName } from '../image/name.ts';
import {
  assertArtifactDirFree,
  assertImageFree,
  assertVmNameFree,
  Operation,
  type OperationPlan,
} from '../operation.ts';
import { carryOut, publishingStages, type Stage, type StageContext } from '../pipeline.ts';
import type { ProgressMode } from '../progress.ts';
import type { ImageRow, VmRow } from '../store/schema.ts';
import { insertVm } from '../store/vms.ts';
import type { Workspace } from '../workspace.ts';
import {
  type CloneGround,
  checkVmSources,
  cloneRootfs,
  cloneWorkSeed,
  type DiskSizes,
  growDisk,
} from './clone-disks.ts';
import { vmDirectory } from './disks.ts';

export interface CreateVmOptions {
  name: string;
  image: string;
  sizes: DiskSizes;
  progress: ProgressMode;
}

/**
 * Makes a VM: disks of its own, cloned from an image's and grown, and a row that keeps the image from being deleted.
 * @throws BangerError `already_exists`, `not_found`, `conflict`, `usage`; PreflightError listing what is wrong with the image
 */
export async function createVm(workspace: Workspace, options: CreateVmOptions): Promise<VmRow> {
  const { name, image: ref, sizes, progress } = options;
  assertValidName(name, 'VM');
  await checkVmSources(findImage(workspace.store, ref), sizes, workspace.layout.vmsDir);
  const { operation, decided } = await Operation.begin(workspace, () => reserve(workspace, name, ref));
  const { vm, image, stageDir } = decided;
  const stage = (stageName: string, run: (ground: CloneGround) => Promise<void>): Stage => ({
    name: stageName,
    run: ({ signal, note }: StageContext) => run({ directory: stageDir, signal, note }),
  });
  const { rootfs, work } = sizes;
  const { work_seed_path: workSeed } = image;
  await carryOut(
    operation,
    [
      stage('clone_rootfs', async (ground) => {
        await mkdir(stageDir, { mode: 0o700 });
        await cloneRootfs(image, ground);
      }),
      ...(rootfs === null ? [] : [stage('grow_rootfs', (ground) => growDisk('rootfs', rootfs, ground))]),
      ...(workSeed === null
        ? []
        : [stage('clone_work_seed', (ground) => cloneWorkSeed(image, workSeed, ground))]),
      ...(work === null ? [] : [stage('grow_work_seed', (ground) => growDisk('work', work, ground))]),
      ...publishingStages(operation, vm, (store) => insertVm(store, vm)),
    ],
    { progress },
  );
  return vm;
}

interface Reserved {
  plan: OperationPlan;
  vm: VmRow;
  image: ImageRow;
  stageDir: string;
}

function reserve({ store, layout }: Workspace, name: string, ref: string): Reserved {
  const image = findImage(store, ref);
  assertVmNameFree(store, name);
  assertImageFree(store, image, 'shared');
  const id = newId();
  const artifactDir = vmDirectory(layout, id);
  assertArtifactDirFree(artifactDir);
  const stageDir = `${artifactDir}.create-${randomBytes(3).toString('hex')}`;
  return {
    ...{ image, stageDir },
    vm: {
      ...{ id, name, image_id: image.id, ssh_port: null },
      has_work_disk: image.work_seed_path === null ? 0 : 1,
      created_at: new Date().toISOString(),
    },
    plan: {
      kind: 'vm_create',
      imageId: image.id,
      imageName: image.name,
      vm: { id, name },
      reservations: [
        { kind: 'vm_name', key: name, mode: 'exclusive' },
        { kind: 'image', key: image.id, mode: 'shared' },
      ],
      ...{ stageDir, artifactDir },
    },
  };
}
