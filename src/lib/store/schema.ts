import type { Generated } from 'kysely';

/** 0 or 1: SQLite has no boolean. */
export type Bit = 0 | 1;
/** ISO 8601, UTC, milliseconds. */
export type Timestamp = string;

/** One row an image, managed or not. All paths are absolute. */
export interface ImageRow {
  id: string;
  name: string;
  managed: Bit;
  artifact_dir: string | null;
  rootfs_path: string;
  work_seed_path: string | null;
  kernel_path: string;
  initrd_path: string | null;
  modules_dir: string | null;
  /** Bytes asked for with --size; null when the base's size was kept. */
  build_size: number | null;
  packages_preset: string | null;
  docker: Bit;
  seeded_ssh_public_key_fingerprint: string | null;
  kernel_format: string | null;
  kernel_version: string | null;
  /** Lineage: the base's id and its name at that time; the base may be gone since. */
  base_image_id: string | null;
  base_image_name: string | null;
  protected: Bit;
  /** Which image of its name it is, from 1. An earlier one is named `NAME@GENERATION`. */
  generation: number;
  /** SHA-256 in hex of all that its build was told; null where nobody asked for it, or it cannot be had. */
  recipe_digest: string | null;
  /** Of its recipe (JSON: an object of strings). */
  labels: string;
  created_at: Timestamp;
  updated_at: Timestamp;
}

export interface VmRow {
  id: string;
  name: string;
  image_id: string;
  /** On the host's loopback address, while it runs: means nothing unless a run of it is alive. */
  ssh_port: number | null;
  /** Whether it was made with one, so that a lost one is noticed. */
  has_work_disk: 0 | 1;
  created_at: Timestamp;
}

/** A managed image that was deleted and can be had back, until its files are removed. */
export interface TrashRow {
  image_id: string;
  /** The name that it had. */
  name: string;
  /** Its row (JSON). */
  image: string;
  deleted_at: Timestamp;
}

/** A process that is changing things, or was: `live/<id>.lock` tells which. */
export interface RunRow {
  id: string;
  pid: number;
  host: string;
  command: string;
  started_at: Timestamp;
}

export type OperationKind =
  | 'build'
  | 'bootstrap'
  | 'register'
  | 'promote'
  | 'delete'
  | 'rename'
  | 'rollback'
  | 'prune'
  | 'protect'
  | 'unprotect'
  | 'restore'
  | 'empty'
  | 'verify'
  | 'vm_create'
  | 'vm_run'
  | 'vm_delete';
export type OperationState = 'running' | 'succeeded' | 'failed' | 'cancelled' | 'interrupted';

export interface OperationRow {
  id: string;
  kind: OperationKind;
  state: OperationState;
  /** The run that owns it, or that claimed it for recovery. */
  run_id: string;
  pid: number;
  host: string;
  command: string;
  image_id: string;
  image_name: string;
  /** Of an operation on a VM, whose image is the one above. */
  vm_id: string | null;
  vm_name: string | null;
  stage: string | null;
  stage_started_at: Timestamp | null;
  stage_dir: string | null;
  artifact_dir: string | null;
  /** The row (JSON), of an image or a VM, that it is about to write; set before the rename that publishes. */
  planned_image: string | null;
  log_path: string | null;
  error: string | null;
  cancel_requested_at: Timestamp | null;
  started_at: Timestamp;
  finished_at: Timestamp | null;
}

export interface OperationEventRow {
  id: Generated<number>;
  operation_id: string;
  at: Timestamp;
  stage: string;
  event: 'started' | 'finished' | 'failed' | 'note';
  message: string | null;
}

export interface ReservationRow {
  operation_id: string;
  kind: 'name' | 'image' | 'vm_name' | 'vm';
  key: string;
  mode: 'exclusive' | 'shared';
}

/**
 * A state of a build that is kept, so that it need not be built again. `steps/<id>/` has its files. `coming`: they are
 * on their way there; `going`: they are being removed; either by a run.
 */
export interface CachedStepRow {
  id: string;
  /** SHA-256 in hex of all that it depends on; of two rows with the same key the newer counts. */
  key: string;
  /** The key of the step after which the root filesystem is as it is here: a result's is the last step's. */
  state_key: string;
  /** The key of the state that its step began from; null for a first step. */
  before_key: string | null;
  /** The step before it. */
  parent_id: string | null;
  /** `step`: a root filesystem after a step; `result`: a finished one with its work seed. */
  kind: 'step' | 'result';
  state: 'coming' | 'kept' | 'going';
  run_id: string;
  title: string;
  /** What the key is made of, but for the parent's (JSON: names and digests). */
  inputs: string;
  /** What was found out on the way (JSON). */
  facts: string;
  /** What its files were when they were kept: nobody may have written to them. */
  stamp: string;
  /** What it takes on the disk beside what it shares with the step before it. */
  bytes: number;
  /** Of a first step: the root filesystem that it began from, and how much it shares with that, in bytes. */
  base: string | null;
  base_bytes: number;
  created_at: Timestamp;
  used_at: Timestamp;
}

/** A run that is not to lose a cached step just now. */
export interface StepUseRow {
  step_id: string;
  run_id: string;
}

/** A boot of an image that its init said was up. Times are of the guest's clock. */
export interface BootRow {
  id: Generated<number>;
  image_id: string;
  at: Timestamp;
  vmm: 'qemu' | 'firecracker';
  accelerator: 'kvm' | 'tcg';
  memory_bytes: number;
  cpus: number;
  kernel_ms: number;
  /** Null where there is no initial ramdisk. */
  initrd_ms: number | null;
  userspace_ms: number;
  /** Whether all checks succeeded. */
  passed: Bit;
}

/** The one row (id 1) that arbitrates the lock. */
export interface LockRow {
  id: 1;
  epoch: number;
  run_id: string | null;
  acquired_at: Timestamp | null;
}

export interface Schema {
  images: ImageRow;
  vms: VmRow;
  trash: TrashRow;
  runs: RunRow;
  operations: OperationRow;
  operation_events: OperationEventRow;
  reservations: ReservationRow;
  cached_steps: CachedStepRow;
  step_uses: StepUseRow;
  boots: BootRow;
  lock: LockRow;
}
