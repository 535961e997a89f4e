import type { Selectable } from 'kysely';
import { newId } from '../id.ts';
import { sql } from './compiler.ts';
import { releaseReservations } from './reservations.ts';
import type { OperationEventRow, OperationKind, OperationRow, OperationState, RunRow } from './schema.ts';
import type { Store } from './store.ts';

const now = (): string => new Date().toISOString();

/** What an operation does, and where. */
export interface OperationDraft {
  kind: OperationKind;
  imageId: string;
  imageName: string;
  /** The VM that it is about. */
  vm?: { id: string; name: string };
  /** Where artifacts are assembled: full path below `images/`, not made yet. */
  stageDir?: string;
  /** Where one rename publishes them. */
  artifactDir?: string;
  logPath?: string;
}

/** The journal row of an operation that a run begins. */
export function newOperation(run: RunRow, draft: OperationDraft): OperationRow {
  return {
    id: newId(),
    kind: draft.kind,
    state: 'running',
    run_id: run.id,
    pid: run.pid,
    host: run.host,
    command: run.command,
    image_id: draft.imageId,
    image_name: draft.imageName,
    vm_id: draft.vm?.id ?? null,
    vm_name: draft.vm?.name ?? null,
    stage: null,
    stage_started_at: null,
    stage_dir: draft.stageDir ?? null,
    artifact_dir: draft.artifactDir ?? null,
    planned_image: null,
    log_path: draft.logPath ?? null,
    error: null,
    cancel_requested_at: null,
    started_at: now(),
    finished_at: null,
  };
}

export function insertOperation(store: Store, row: OperationRow): void {
  store.change(sql.insertInto('operations').values(row));
}

/** The schema before this one knew nothing of VMs' runs. */
function complete(row: OperationRow): OperationRow {
  return { ...row, vm_id: row.vm_id ?? null, vm_name: row.vm_name ?? null };
}

/** Newest first. */
export function listOperations(store: Store, limit: number): OperationRow[] {
  const all = sql.selectFrom('operations').selectAll();
  return store.all(all.orderBy('started_at', 'desc').orderBy('id').limit(limit)).map(complete);
}

export function operationById(store: Store, id: string): OperationRow | undefined {
  const row = store.get(sql.selectFrom('operations').selectAll().where('id', '=', id));
  return row && complete(row);
}

/** The operation that made an image's files; the journal may have forgotten it. */
export function operationThatMade(store: Store, imageId: string): OperationRow | undefined {
  return store.get(
    sql
      .selectFrom('operations')
      .selectAll()
      .where('image_id', '=', imageId)
      .where('kind', 'in', ['build', 'bootstrap', 'promote'])
      .where('state', '=', 'succeeded')
      .orderBy('started_at', 'desc')
      .limit(1),
  );
}

export function operationsByIdPrefix(store: Store, prefix: string): OperationRow[] {
  return store.all(sql.selectFrom('operations').selectAll().where('id', 'like', `${prefix}%`)).map(complete);
}

export function runningOperations(store: Store): OperationRow[] {
  const running = sql.selectFrom('operations').selectAll().where('state', '=', 'running');
  return store.all(running.orderBy('started_at')).map(complete);
}

export function eventsOf(store: Store, operationId: string): Selectable<OperationEventRow>[] {
  return store.all(
    sql.selectFrom('operation_events').selectAll().where('operation_id', '=', operationId).orderBy('id'),
  );
}

export function addEvent(
  store: Store,
  operationId: string,
  stage: string,
  event: OperationEventRow['event'],
  message: string | null = null,
): void {
  store.change(
    sql
      .insertInto('operation_events')
      .values({ operation_id: operationId, at: now(), stage, event, message }),
  );
}

/** Records that a stage has begun. */
export function enterStage(store: Store, operationId: string, stage: string): void {
  store.change(
    sql.updateTable('operations').set({ stage, stage_started_at: now() }).where('id', '=', operationId),
  );
  addEvent(store, operationId, stage, 'started');
}

/** Records the row that is about to be written, before the rename that publishes it; null once that was undone. */
export function planRow(store: Store, operationId: string, planned: string | null): void {
  store.change(sql.updateTable('operations').set({ planned_image: planned }).where('id', '=', operationId));
}

/** Ends an operation and lets go of what it reserved. */
export function finishOperation(
  store: Store,
  operationId: string,
  state: Exclude<OperationState, 'running'>,
  error: string | null = null,
): void {
  store.change(
    sql
      .updateTable('operations')
      .set({ state, error, finished_at: now() })
      .where('id', '=', operationId)
      .where('state', '=', 'running'),
  );
  releaseReservations(store, operationId);
}

/** Makes a dead run's operation the caller's to clean up; its names and images are free again at once. */
export function claimOperation(store: Store, operationId: string, runId: string): void {
  store.change(sql.updateTable('operations').set({ run_id: runId }).where('id', '=', operationId));
  releaseReservations(store, operationId);
}

export function requestCancel(store: Store, operationId: string): boolean {
  return (
    store.change(
      sql
        .updateTable('operations')
        .set({ cancel_requested_at: now() })
        .where('id', '=', operationId)
        .where('state', '=', 'running'),
    ) === 1
  );
}

export function isCancelRequested(store: Store, operationId: string): boolean {
  const row = store.get(
    sql.selectFrom('operations').select('cancel_requested_at').where('id', '=', operationId),
  );
  return row !== undefined && row.cancel_requested_at !== null;
}
