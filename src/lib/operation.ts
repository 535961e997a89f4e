import { BangerError, CancelledError, messageOf } from './errors.ts';
import { shortId } from './id.ts';
import { removeDirectory, setAside } from './recovery.ts';
import { isBusyError, UnknownCommitError } from './store/errors.ts';
import { imageByName } from './store/images.ts';
import {
  addEvent,
  enterStage,
  finishOperation,
  insertOperation,
  isCancelRequested,
  newOperation,
  type OperationDraft,
  operationById,
  planRow,
} from './store/operations.ts';
import { insertReservations, type Reservation, type Reserved, reservationsOf } from './store/reservations.ts';
import type { ImageRow, OperationRow, VmRow } from './store/schema.ts';
import type { Store } from './store/store.ts';
import { vmByName } from './store/vms.ts';
import { renameDurably, syncTree } from './system/durable.ts';
import { isThere } from './system/filesystem.ts';
import { formatDuration, oneLine } from './text.ts';
import type { Workspace, WorkspaceLock } from './workspace.ts';

/** How often a running operation looks for a mark left by `banger operation cancel`, in milliseconds. */
const CANCEL_POLL_MS = 250;

/** What an operation is going to do, decided and recorded under the lock before anything is made. */
export interface OperationPlan extends OperationDraft {
  reservations: readonly Reservation[];
}

/** Throws unless a name is free: of images, and of operations that will make one (exit 4). */
export function assertNameFree(store: Store, name: string): void {
  const image = imageByName(store, name);
  if (image !== undefined) {
    throw new BangerError('already_exists', `an image named ${name} exists already (${shortId(image.id)})`, {
      hints: [`banger image show ${name}`, `banger image delete ${name}`, 'choose another name'],
    });
  }
  assertNameUnreserved(store, name);
}

/** Throws while an operation is going to publish under a name (exit 4). */
export function assertNameUnreserved(store: Store, name: string): void {
  const [reserved] = reservationsOf(store, 'name', name);
  if (reserved) {
    throw new BangerError(
      'already_exists',
      `the name ${name} is taken by ${describeOperation(reserved.operation)}`,
      {
        hints: [`banger operation show ${shortId(reserved.operation.id)}`, 'choose another name'],
      },
    );
  }
}

/** Throws unless an image may be reserved in this way (exit 5): bases are shared, targets are not. */
export function assertImageFree(store: Store, image: ImageRow, mode: Reservation['mode']): void {
  const blocker = reservationsOf(store, 'image', image.id).find(
    (reserved: Reserved) => mode === 'exclusive' || reserved.mode === 'exclusive',
  );
  if (!blocker) return;
  throw new BangerError(
    'conflict',
    `image ${image.name} is in use by ${describeOperation(blocker.operation)}`,
    {
      hints: [
        `wait for it: banger operation show ${shortId(blocker.operation.id)}`,
        `or stop it: banger operation cancel ${shortId(blocker.operation.id)}`,
      ],
    },
  );
}

/** Throws unless a VM's name is free: of VMs, and of operations that will make one (exit 4). */
export function assertVmNameFree(store: Store, name: string): void {
  const vm = vmByName(store, name);
  if (vm !== undefined) {
    throw new BangerError('already_exists', `a VM named ${name} exists already (${shortId(vm.id)})`, {
      hints: [`banger vm show ${name}`, `banger vm delete ${name}`, 'choose another name'],
    });
  }
  const [reserved] = reservationsOf(store, 'vm_name', name);
  if (!reserved) return;
  throw new BangerError(
    'already_exists',
    `the name ${name} is taken by ${describeOperation(reserved.operation)}`,
    {
      hints: [`banger operation show ${shortId(reserved.operation.id)}`, 'choose another name'],
    },
  );
}

/** Throws while an operation is at work with a VM (exit 5). */
export function assertVmFree(store: Store, vm: VmRow): void {
  const [blocker] = reservationsOf(store, 'vm', vm.id);
  if (!blocker) return;
  const id = shortId(blocker.operation.id);
  throw new BangerError('conflict', `VM ${vm.name} is in use by ${describeOperation(blocker.operation)}`, {
    hints: [`wait for it: banger operation show ${id}`, `or stop it: banger operation cancel ${id}`],
  });
}

/** Throws when a directory stands where one is to be published (exit 11): it is not ours to replace. */
export function assertArtifactDirFree(path: string): void {
  if (!isThere(path)) return;
  throw new BangerError('corrupt', `${path} exists already, but nothing in the registry has it`, {
    hints: ['banger check --repair'],
  });
}

/** An operation that runs, as a message names it. */
export function describeOperation(operation: OperationRow): string {
  const age = formatDuration(Date.now() - Date.parse(operation.started_at));
  const where = `pid ${operation.pid} on ${oneLine(operation.host)}`;
  const what = operation.vm_name === null ? '' : ` in VM ${operation.vm_name}`;
  return `${operation.kind} ${operation.image_name}${what} (${where}, running for ${age})`;
}

/** Writes an operation's journal row with its reservations. Call under the lock, in the transaction that decided it. */
export function recordOperation(workspace: Workspace, plan: OperationPlan): OperationRow {
  const row = newOperation(workspace.run.row, plan);
  insertOperation(workspace.store, row);
  insertReservations(workspace.store, row.id, plan.reservations);
  return row;
}

/** An operation that is one transaction: decided, done and recorded under the lock. */
export async function runAtOnce<T>(
  workspace: Workspace,
  decide: () => { plan: OperationPlan; apply: () => T },
): Promise<T> {
  return workspace.locked((lock) =>
    workspace.store.write(() => {
      lock.assertOurs();
      const { plan, apply } = decide();
      const { id } = recordOperation(workspace, plan);
      const result = apply();
      finishOperation(workspace.store, id, 'succeeded');
      return result;
    }),
  );
}

/** An operation at work: reserved under the lock, carried out outside it, published under it again. */
export class Operation {
  readonly row: OperationRow;
  /** Aborted by a signal, or by `banger operation cancel` from anywhere. */
  readonly signal: AbortSignal;
  readonly #workspace: Workspace;
  readonly #poll: NodeJS.Timeout;
  /** Held from the rename to the row. */
  #lock: WorkspaceLock | undefined;
  /** Whether the rename was tried: what stands in its place since may be ours. */
  #renaming = false;
  #stage: string | null = null;

  /** Phase 1: decides and reserves under the lock. `decide` runs inside the transaction. */
  static async begin<T extends { plan: OperationPlan }>(
    workspace: Workspace,
    decide: () => T,
  ): Promise<{ operation: Operation; decided: T }> {
    const { row, decided } = await workspace.locked((lock) =>
      workspace.store.write(() => {
        lock.assertOurs();
        const decision = decide();
        return { row: recordOperation(workspace, decision.plan), decided: decision };
      }),
    );
    return { operation: new Operation(workspace, row), decided };
  }

  private constructor(workspace: Workspace, row: OperationRow) {
    this.#workspace = workspace;
    this.row = row;
    const cancel = new AbortController();
    this.#poll = setInterval(() => this.#lookForCancel(cancel), CANCEL_POLL_MS);
    this.#poll.unref();
    this.signal = AbortSignal.any([workspace.signal, cancel.signal]);
  }

  /** A timer has nobody to throw to: a registry that cannot be read any more ends the operation as a cancel does. */
  #lookForCancel(cancel: AbortController): void {
    try {
      if (!isCancelRequested(this.#workspace.store, this.row.id)) return;
      cancel.abort(this.#cancelled());
    } catch (error) {
      if (isBusyError(error)) return;
      cancel.abort(error);
    }
    clearInterval(this.#poll);
  }

  #cancelled(): CancelledError {
    return new CancelledError('SIGTERM', `cancelled by 'banger operation cancel ${shortId(this.row.id)}'`);
  }

  /** The journal's row, unless somebody who took this run for dead has cleaned up after it. */
  #ownRow(): OperationRow | undefined {
    const row = operationById(this.#workspace.store, this.row.id);
    return row?.state === 'running' && row.run_id === this.row.run_id ? row : undefined;
  }

  /** Throws unless a transaction that publishes may: the lock and the operation are ours. */
  #assertOurs(lock: WorkspaceLock): OperationRow {
    lock.assertOurs();
    const row = this.#ownRow();
    if (row) return row;
    throw new BangerError(
      'busy',
      'another command took this run for dead and cleaned up; nothing was published',
      {
        hints: [`banger operation show ${shortId(this.row.id)}`, 'run the command again'],
      },
    );
  }

  enterStage(stage: string): void {
    this.#stage = stage;
    this.#workspace.store.write(() => enterStage(this.#workspace.store, this.row.id, stage));
  }

  leaveStage(stage: string): void {
    this.#workspace.store.write(() => addEvent(this.#workspace.store, this.row.id, stage, 'finished'));
  }

  /**
   * Phase 3, first half: makes the stage directory durable, takes the lock, records the row to come, and renames
   * the stage directory into place. Nothing is awaited between the lock and the rename.
   * @param durable what in the stage directory has been made durable already
   */
  async activate(planned: ImageRow | VmRow, durable: readonly string[] = []): Promise<void> {
    const { stage_dir, artifact_dir, id } = this.row;
    if (stage_dir === null || artifact_dir === null) throw new Error('this operation publishes no directory');
    await syncTree(stage_dir, this.signal, { durable });
    const { store } = this.#workspace;
    const lock = await this.#workspace.lock(this.signal);
    this.#lock = lock;
    // Before the plan is recorded: recovery undoes what a plan names.
    assertArtifactDirFree(artifact_dir);
    store.write(() => {
      // The last look: whoever asked before this gets what was asked for.
      if (this.#assertOurs(lock).cancel_requested_at !== null) throw this.#cancelled();
      this.signal.throwIfAborted();
      planRow(store, id, JSON.stringify(planned));
    });
    this.#renaming = true;
    renameDurably(stage_dir, artifact_dir);
  }

  /** Phase 3, second half: one transaction checks that the lock is still ours, writes the row and ends the operation. */
  async persist(write: (store: Store) => void): Promise<void> {
    const { store } = this.#workspace;
    const lock = this.#lock;
    if (lock === undefined) throw new Error('persist comes after activate');
    store.write(() => {
      this.#assertOurs(lock);
      enterStage(store, this.row.id, 'persisted');
      write(store);
      addEvent(store, this.row.id, 'persisted', 'finished');
      finishOperation(store, this.row.id, 'succeeded');
    });
    this.#lock = undefined;
    clearInterval(this.#poll);
    await lock.release();
  }

  /** Ends an operation that publishes nothing: its stage directory goes. */
  async finish(): Promise<void> {
    const { store } = this.#workspace;
    const { id, stage_dir } = this.row;
    for (const directory of stage_dir === null ? [] : setAside([stage_dir], id)) {
      await removeDirectory(directory);
    }
    store.write(() => {
      // Whoever took this run for dead has ended it.
      if (!this.#ownRow()) return;
      finishOperation(store, id, 'succeeded');
    });
    clearInterval(this.#poll);
  }

  /**
   * Undoes what was made and records why. After a COMMIT of unknown outcome nothing is undone: the next holder of the
   * lock finds out. Returns what could not be cleaned up now, for the next command to do; never rejects.
   */
  async fail(error: unknown): Promise<unknown | undefined> {
    clearInterval(this.#poll);
    const lock = this.#lock;
    this.#lock = undefined;
    try {
      if (!(error instanceof UnknownCommitError)) await this.#undo(error);
      return undefined;
    } catch (left) {
      return left;
    } finally {
      await lock?.release();
    }
  }

  async #undo(error: unknown): Promise<void> {
    const { store } = this.#workspace;
    const { id, kind, stage_dir, artifact_dir } = this.row;
    // In one transaction with the look at whose it is: what another has published since is not to be undone.
    const doomed = store.write(() => {
      const isPublished = this.#renaming && stage_dir !== null && !isThere(stage_dir);
      const made = isPublished ? this.#ownRow() && artifact_dir : stage_dir;
      return made ? setAside([made], id) : [];
    });
    for (const directory of doomed) await removeDirectory(directory);
    store.write(() => {
      if (!this.#ownRow()) return;
      const state = error instanceof CancelledError ? 'cancelled' : 'failed';
      addEvent(store, id, this.#stage ?? kind, 'failed', messageOf(error));
      finishOperation(store, id, state, messageOf(error));
    });
  }
}
