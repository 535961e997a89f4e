import { existsSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asidePath, type Layout } from './layout.ts';
import { imageById } from './store/images.ts';
import { forgetRuns, sweepDeadRuns } from './store/liveness.ts';
import { addEvent, claimOperation, finishOperation, runningOperations } from './store/operations.ts';
import type { OperationRow } from './store/schema.ts';
import type { Store } from './store/store.ts';

/** A dead run's operation, claimed by this one: its directories are out of the way and wait to be removed. */
export interface Leftover {
  operation: OperationRow;
  outcome: 'interrupted' | 'succeeded';
  directories: string[];
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
  const { artifact_dir, stage_dir } = operation;
  const doomed: string[] = [];
  let outcome: Leftover['outcome'] = operation.kind === 'delete' ? 'succeeded' : 'interrupted';
  if (artifact_dir !== null && (operation.kind === 'delete' || operation.planned_image !== null)) {
    const published = imageById(store, operation.image_id)?.artifact_dir === artifact_dir;
    if (published) outcome = 'succeeded';
    else doomed.push(artifact_dir);
  }
  if (stage_dir !== null) doomed.push(stage_dir);
  // A state directory that was moved, or a registry that was tampered with, must not lead us elsewhere.
  const ours = doomed.filter((path) => dirname(path) === layout.imagesDir);
  return { operation, outcome, directories: setAside(ours, operation.id) };
}

/** Renames directories so that nobody meets half of one; those that an earlier try renamed are found again. */
export function setAside(paths: readonly string[], operationId: string): string[] {
  return paths.flatMap((path) => {
    const aside = asidePath(path, operationId);
    if (existsSync(path)) renameSync(path, aside);
    return existsSync(aside) ? [aside] : [];
  });
}

/** Removes a directory for good. A dying child may still be writing into it: ENOTEMPTY is tried again. */
export async function removeDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

export async function removeLeftovers(store: Store, leftovers: readonly Leftover[]): Promise<void> {
  for (const { operation, outcome, directories } of leftovers) {
    for (const directory of directories) await removeDirectory(directory);
    store.write(() => {
      addEvent(
        store,
        operation.id,
        operation.stage ?? operation.kind,
        'note',
        'its run had died; cleaned up',
      );
      finishOperation(store, operation.id, outcome, outcome === 'succeeded' ? null : 'the run died');
    });
  }
}
