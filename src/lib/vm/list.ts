import { join } from 'node:path';
import { sizeOf } from '../image/listing.ts';
import type { Layout } from '../layout.ts';
import { imageById } from '../store/images.ts';
import { isRunAlive } from '../store/liveness.ts';
import { reservationsOf } from '../store/reservations.ts';
import type { VmRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { listVms } from '../store/vms.ts';
import { formatPairs, formatTable } from '../table.ts';
import { formatAge, formatBytes } from '../text.ts';
import type { Readings } from '../workspace.ts';
import { VM_FILES, vmDirectory } from './disks.ts';
import { findVm } from './find.ts';

/** A VM as `--json` prints it. */
export interface VmJson {
  id: string;
  name: string;
  image_id: string;
  image_name: string | null;
  rootfs_path: string;
  /** Null when it has none. */
  work_disk_path: string | null;
  /** Of its disks; null when one is missing. */
  allocated_bytes: number | null;
  virtual_bytes: number | null;
  running: boolean;
  /** Port of the loopback address that leads to its SSH server; null unless it runs and has one. */
  ssh_port: number | null;
  created_at: string;
}

export function vmJson(store: Store, layout: Layout, vm: VmRow): VmJson {
  const directory = vmDirectory(layout, vm.id);
  const rootfs = join(directory, VM_FILES.rootfs);
  const work = join(directory, VM_FILES.work);
  const hasWork = vm.has_work_disk === 1;
  const sizes = [sizeOf(rootfs), ...(hasWork ? [sizeOf(work)] : [])];
  const sum = (field: 'allocated' | 'virtual'): number | null =>
    sizes.reduce<number | null>(
      (total, size) => (total === null || size === null ? null : total + size[field]),
      0,
    );
  const running = isRunning(store, layout, vm);
  const { id, name, image_id, created_at } = vm;
  return {
    ...{ id, name, image_id },
    image_name: imageById(store, image_id)?.name ?? null,
    rootfs_path: rootfs,
    work_disk_path: hasWork ? work : null,
    allocated_bytes: sum('allocated'),
    virtual_bytes: sum('virtual'),
    running,
    ssh_port: running ? vm.ssh_port : null,
    created_at,
  };
}

function isRunning(store: Store, { liveDir }: Layout, { id }: VmRow): boolean {
  return reservationsOf(store, 'vm', id).some(
    ({ operation }) => operation.kind === 'vm_run' && isRunAlive(liveDir, operation.run_id),
  );
}

/** All VMs by name. An empty registry is an empty list. */
export function vmList({ store, layout }: Pick<Readings, 'store' | 'layout'>): VmJson[] {
  if (store === null) return [];
  return store.snapshot(() => listVms(store).map((vm) => vmJson(store, layout, vm)));
}

/** @throws BangerError `not_found`, `usage` */
export function showVm({ store, layout }: Pick<Readings, 'store' | 'layout'>, ref: string): VmJson {
  const vm = findVm(store, ref);
  if (store === null) throw new Error('a VM was found in no registry');
  return store.snapshot(() => vmJson(store, layout, vm));
}

const HEADER = ['NAME', 'IMAGE', 'STATE', 'SIZE', 'VIRTUAL', 'CREATED'];

const bytesOrMissing = (bytes: number | null): string => (bytes === null ? 'missing' : formatBytes(bytes));

/** The table of `vm list`. */
export function vmTable(vms: readonly VmJson[]): string {
  const now = Date.now();
  return formatTable(
    HEADER,
    vms.map((vm) => [
      vm.name,
      vm.image_name ?? vm.image_id,
      vm.running ? 'running' : 'stopped',
      bytesOrMissing(vm.allocated_bytes),
      bytesOrMissing(vm.virtual_bytes),
      formatAge(vm.created_at, now),
    ]),
  );
}

/** What `vm show` prints for people. */
export function vmReport(vm: VmJson): string {
  return formatPairs([
    ['name', vm.name],
    ['id', vm.id],
    ['image', vm.image_name ?? vm.image_id],
    ['state', vm.running ? 'running' : 'stopped'],
    ['ssh port', vm.ssh_port === null ? null : String(vm.ssh_port)],
    ['root disk', vm.rootfs_path],
    ['work disk', vm.work_disk_path],
    ['size', bytesOrMissing(vm.allocated_bytes)],
    ['virtual', bytesOrMissing(vm.virtual_bytes)],
    ['created', `${vm.created_at} (${formatAge(vm.created_at)})`],
  ]);
}
