import { renameSync, statSync } from 'node:fs';
import { chmod, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from './errors.ts';
import { asidePath, type Layout } from './layout.ts';
import { imageByArtifactDir, imageById } from './store/images.ts';
import { forgetRuns, sweepDeadRuns } from './store/liveness.ts';
import { addEvent, claimOperation, finishOperation, planRow, runningOperations } from './store/operations.ts';
import type { OperationRow } from './store/schema.ts';
import type { Store } from './store/store.ts';
import { trashById } from './store/trash.ts';
import { vmById } from './store/vms.ts';
import { syncDirectory } from './system/durable.ts';
import { isThere } from './system/filesystem.ts';
import { runMapped } from './system/mapped.ts';
import { moveToTrash } from './trash-place.ts';

/** A dead run's operation, claimed by this one: its directories are out of the way and wait to be removed. */
export interface Leftover {
  operation: OperationRow;
  outcome: 'interrupted' | 'succeeded';
  directories: string[];
  /** What kept them from being moved out of the way, or from being removed; the next command tries again. */
  failure?: unknown;
}

/**
 * Claims what dead runs left: undoes a directory that was published without its row, sets a stage directory aside,
 * carries a deletion on. Only directories that the journal names are touched. Call while holding the lock; then
 * `removeLeftovers` outside it.
 */
export function claimLeftovers(store: Store, layout: Layout, runId: string): Leftover[] {
  return store.write(() => {
    const dead = new Set(sweepDeadRuns(store, layout.liveDir));
    if (dead.size === 0) return [];
    const leftovers = runningOperations(store)
      .filter((operation) => dead.has(operation.run_id))
      .map((operation) => settle(store, layout, operation));
    for (const { operation } of leftovers) claimOperation(store, operation.id, runId);
    forgetRuns(store, [...dead]);
    return leftovers;
  });
}

function settle(store: Store, layout: Layout, operation: OperationRow): Leftover {
  const { id, kind, artifact_dir, stage_dir, planned_image } = operation;
  const isPublished = planned_image !== null && isRecorded(store, operation);
  // While the stage directory is there, what stands in the artifact directory's place is not what we made.
  const isUnrecorded = planned_image !== null && !isPublished && !isStaged(operation);
  const isDeletion = ['delete', 'prune', 'empty', 'vm_delete'].includes(kind);
  // Where an image's own directory is, or is to be. What was made of the image elsewhere, a VM's disks say, is not.
  const isTrashed = operation.vm_id === null && trashById(store, operation.image_id) !== undefined;
  const ours = [layout.imagesDir, layout.trashDir, layout.vmsDir];
  const mine = [artifact_dir, stage_dir].flatMap((path) =>
    path !== null && ours.some((directory) => isBelow(directory, path)) ? [path] : [],
  );
  const isDoomed = !isTrashed && (isDeletion || isUnrecorded);
  const doomed = mine.filter((path) => path === stage_dir || isDoomed);
  const leftover: Leftover = {
    operation,
    // The row of what is deleted went in the transaction that recorded the deletion.
    outcome: isDeletion || isPublished ? 'succeeded' : 'interrupted',
    directories: [],
  };
  try {
    // On its way into the trash, or out of it.
    if (isTrashed && !imageById(store, operation.image_id)) moveToTrash(layout, operation.image_id);
    // Whatever a tampered registry says: what an image has stays.
    setAside(
      doomed.filter((path) => !isSomebodys(store, path)),
      id,
    );
    leftover.directories = mine.map((path) => asidePath(path, id)).filter(isThere);
    // Whoever comes after us must not undo what another has published in the same place since.
    if (isUnrecorded) planRow(store, id, null);
  } catch (failure) {
    leftover.failure = failure;
  }
  return leftover;
}

/** Whether the row is there that an operation was going to write. */
function isRecorded(store: Store, { image_id, vm_id, artifact_dir }: OperationRow): boolean {
  if (vm_id !== null) return vmById(store, vm_id) !== undefined;
  return imageById(store, image_id)?.artifact_dir === artifact_dir;
}

function isSomebodys(store: Store, path: string): boolean {
  return imageByArtifactDir(store, path) !== undefined || vmById(store, basename(path)) !== undefined;
}

function isStaged({ id, stage_dir }: OperationRow): boolean {
  return stage_dir !== null && (isThere(stage_dir) || isThere(asidePath(stage_dir, id)));
}

/** A state directory that was moved, or a registry that was tampered with, must not lead us elsewhere. */
export function isBelow(directory: string, path: string): boolean {
  if (['', '.', '..'].includes(basename(path))) return false;
  const [above, ours] = [dirname(path), directory].map((one) =>
    statSync(one, { bigint: true, throwIfNoEntry: false }),
  );
  return above !== undefined && above.dev === ours?.dev && above.ino === ours.ino;
}

/** Renames directories so that nobody meets half of one; those that an earlier try renamed are found again. */
export function setAside(paths: readonly string[], operationId: string): string[] {
  return paths.flatMap((path) => {
    const aside = asidePath(path, operationId);
    if (isThere(path)) renameSync(path, aside);
    return isThere(aside) ? [aside] : [];
  });
}

/**
 * Removes a directory for good: it does not come back after a loss of power. A dying child may still be writing into
 * it: ENOTEMPTY is tried again. What guests left in it may belong to subordinate ids of an ordinary user, who must become
 * their root to remove it.
 */
export async function removeDirectory(path: string): Promise<void> {
  const options = { recursive: true, force: true, maxRetries: 10, retryDelay: 50 };
  try {
    await rm(path, options);
  } catch (error) {
    if (!isDenied(error)) throw error;
    try {
      await openUp(path);
      await rm(path, options);
    } catch (denied) {
      if (!isDenied(denied) || process.geteuid?.() === 0) throw denied;
      await runMapped('rm', ['-rf', '--one-file-system', '--', path]);
    }
  }
  syncDirectory(dirname(path));
}

/** chmod(2) says EPERM of what is another's, rmdir(2) of what is in a sticky directory of another's. */
function isDenied(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(errnoOf(error) ?? '');
}

/**
 * A copied tree may have directories that not even their owner may write to. What is gone meanwhile is no matter: an rm
 * that has failed goes on for a while with what it had begun (Node 24.21.0).
 */
async function openUp(directory: string): Promise<void> {
  try {
    await chmod(directory, 0o700);
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) await openUp(join(directory, entry.name));
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

/** Removes what was claimed. One that cannot be removed keeps its failure, and stays in the journal. */
export async function removeLeftovers(store: Store, leftovers: readonly Leftover[]): Promise<void> {
  for (const leftover of leftovers) {
    if (leftover.failure !== undefined) continue;
    try {
      await removeLeftover(store, leftover);
    } catch (failure) {
      leftover.failure = failure;
    }
  }
}

async function removeLeftover(store: Store, { operation, outcome, directories }: Leftover): Promise<void> {
  for (const directory of directories) await removeDirectory(directory);
  store.write(() => {
    addEvent(store, operation.id, operation.stage ?? operation.kind, 'note', 'its run had died; cleaned up');
    finishOperation(store, operation.id, outcome, outcome === 'succeeded' ? null : 'the run died');
  });
}
