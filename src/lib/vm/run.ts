import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { PreflightError } from '../errors.ts';
import { newId, shortId } from '../id.ts';
import { findImage } from '../image/find.ts';
import { checkBootSet } from '../image/requirements.ts';
import type { Acceleration } from '../machine/acceleration.ts';
import { acceleratorFor } from '../machine/vmm.ts';
import { assertImageFree, assertVmFree, Operation, type OperationPlan } from '../operation.ts';
import { imageById } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import { setSshPort } from '../store/vms.ts';
import type { Workspace } from '../workspace.ts';
import { checkVmSources, cloneRootfs, cloneWorkSeed } from './clone-disks.ts';
import { VM_FILES, vmDirectory } from './disks.ts';
import { findVm } from './find.ts';
import { choosePort, requireSessionTools, runSession, type SessionOptions } from './session.ts';

export interface RunOptions
  extends Pick<SessionOptions, 'memory' | 'cpus' | 'vmm' | 'command' | 'timeoutMs' | 'show'> {
  acceleration: Acceleration;
  sshPort?: number | undefined;
}

/** What became of a run, as `--json` prints it. */
export interface RunReport {
  vm: string;
  image: string;
  accelerator: string;
  /** The command's; null where there was none. */
  status: number | null;
}

/**
 * Boots copies of an image's disks, which are thrown away at the end, however that comes.
 * @throws BangerError as runSession; `preflight_failed` when files or tools are missing
 */
export async function runThrowaway(
  workspace: Workspace,
  ref: string,
  options: RunOptions,
): Promise<RunReport> {
  const reserved = await begin(workspace, options, () => reserveImage(workspace, ref));
  const { operation, image, directory } = reserved;
  return conclude(workspace, operation, async () => {
    const { signal } = operation;
    await checkVmSources(image, { rootfs: null, work: null }, workspace.layout.vmsDir);
    if (options.command.length > 0) requireKey(image);
    operation.enterStage('clone_disks');
    await mkdir(directory, { mode: 0o700 });
    const ground = { directory, signal, note() {} };
    await cloneRootfs(image, ground);
    if (image.work_seed_path !== null) await cloneWorkSeed(image, image.work_seed_path, ground);
    return run(workspace, reserved, { ...options, isThrownAway: true });
  });
}

/**
 * Boots a VM, whose disks keep what it writes to them.
 * @throws BangerError as runSession; `conflict` while it runs; `not_found`
 */
export async function runVm(workspace: Workspace, ref: string, options: RunOptions): Promise<RunReport> {
  const reserved = await begin(workspace, options, () => reserveVm(workspace, ref));
  const { operation, image, directory, vm, hasWorkDisk } = reserved;
  return conclude(workspace, operation, async () => {
    const disks = {
      rootfs: join(directory, VM_FILES.rootfs),
      workSeed: hasWorkDisk ? join(directory, VM_FILES.work) : null,
    };
    await checkBootSet(
      `VM ${vm.name}`,
      { ...disks, kernel: image.kernel_path, initrd: image.initrd_path, modules: null },
      () => 'banger check',
    );
    return run(workspace, reserved, { ...options, isThrownAway: false });
  });
}

interface Reserved {
  plan: OperationPlan;
  image: ImageRow;
  vm: { id: string; name: string };
  /** Where its disks are, or will be. */
  directory: string;
  hasWorkDisk: boolean;
}

type Begun = Reserved & { operation: Operation };

async function begin(workspace: Workspace, options: RunOptions, reserve: () => Reserved): Promise<Begun> {
  await requireSessionTools(options);
  const { operation, decided } = await Operation.begin(workspace, reserve);
  return { ...decided, operation };
}

async function conclude(
  workspace: Workspace,
  operation: Operation,
  use: () => Promise<RunReport>,
): Promise<RunReport> {
  try {
    const report = await use();
    await operation.finish();
    return report;
  } catch (error) {
    if ((await operation.fail(error)) !== undefined) {
      workspace.notify('what is left is removed by the next command that changes something');
    }
    throw error;
  }
}

async function run(
  workspace: Workspace,
  { operation, image, vm, directory, hasWorkDisk }: Begun,
  options: RunOptions & { isThrownAway: boolean },
): Promise<RunReport> {
  const { config, notify, store } = workspace;
  const { acceleration, sshPort: wanted, ...session } = options;
  const { signal } = operation;
  const { kernel_path: kernel, initrd_path: initrd } = image;
  const ground = { kernel, cacheDir: config.cacheDir, signal, notify };
  const accelerator = await acceleratorFor(options.vmm, acceleration, ground);
  const hasCommand = options.command.length > 0;
  // Others want to get into one that has a name.
  const isReached = options.vmm === 'qemu' && (hasCommand || !options.isThrownAway);
  const sshPort = await choosePort(wanted, isReached);
  if (!options.isThrownAway) store.write(() => setSshPort(store, vm.id, sshPort));
  operation.enterStage('run');
  if (hasCommand)
    notify(`${options.isThrownAway ? image.name : vm.name} boots; its SSH server is waited for`);
  const disks = hasWorkDisk ? [VM_FILES.rootfs, VM_FILES.work] : [VM_FILES.rootfs];
  const status = await runSession({
    ...session,
    ...{ kernel, initrd, accelerator, signal, sshPort, tell: notify },
    name: options.isThrownAway ? image.name : vm.name,
    disks: disks.map((file) => ({ path: join(directory, file) })),
    privateKey: config.sshKeyPath,
    knownHosts: join(directory, VM_FILES.knownHosts),
  });
  return { vm: vm.name, image: image.name, accelerator, status };
}

function reserveImage({ store, layout }: Workspace, ref: string): Reserved {
  const image = findImage(store, ref);
  assertImageFree(store, image, 'shared');
  const id = newId();
  const vm = { id, name: `run-${shortId(id)}` };
  const directory = `${vmDirectory(layout, id)}.run-${randomBytes(3).toString('hex')}`;
  return {
    ...{ image, vm, directory, hasWorkDisk: image.work_seed_path !== null },
    plan: {
      kind: 'vm_run',
      imageId: image.id,
      imageName: image.name,
      vm,
      reservations: [{ kind: 'image', key: image.id, mode: 'shared' }],
      stageDir: directory,
    },
  };
}

/** Its row holds the image. */
function reserveVm({ store, layout }: Workspace, ref: string): Reserved {
  const vm = findVm(store, ref);
  assertVmFree(store, vm);
  const image = imageById(store, vm.image_id);
  if (image === undefined) throw new Error(`the image of VM ${vm.name} vanished while its row held it`);
  return {
    ...{ image, vm, directory: vmDirectory(layout, vm.id), hasWorkDisk: vm.has_work_disk === 1 },
    plan: {
      kind: 'vm_run',
      imageId: image.id,
      imageName: image.name,
      vm,
      reservations: [{ kind: 'vm', key: vm.id, mode: 'exclusive' }],
    },
  };
}
/** What a registered image lets in, only its owner knows. */
function requireKey(image: ImageRow): void {
  if (!image.managed || image.seeded_ssh_public_key_fingerprint !== null) return;
  throw new PreflightError(`image ${image.name}`, [
    {
      message: 'it has no SSH key seeded, so that no command can be run in it',
      mend: `build one that has: banger image build NAME --from-image ${image.name}`,
    },
  ]);
}
