import { shortId } from './id.ts';
import type { OperationJson, ShownOperation } from './journal.ts';
import { formatPairs, formatTable } from './table.ts';
import { formatAge, formatDuration } from './text.ts';

function stateOf(operation: OperationJson): string {
  return operation.alive === false ? 'dead' : operation.state;
}

function tookOf(operation: OperationJson, now: number): string {
  const end = operation.finished_at === null ? now : Date.parse(operation.finished_at);
  return formatDuration(Math.max(0, end - Date.parse(operation.started_at)));
}

/** The table of `operation list`. */
export function operationTable(operations: readonly OperationJson[]): string {
  const now = Date.now();
  return formatTable(
    ['ID', 'KIND', 'IMAGE', 'STATE', 'STAGE', 'STARTED', 'TOOK', 'BY'],
    operations.map((operation) => [
      shortId(operation.id),
      operation.kind,
      operation.vm_name ?? operation.image_name,
      stateOf(operation),
      operation.stage ?? '-',
      formatAge(operation.started_at, now),
      tookOf(operation, now),
      `pid ${operation.pid} on ${operation.host}`,
    ]),
  );
}

/** What `operation show` prints for people. */
export function operationReport(operation: ShownOperation): string {
  const now = Date.now();
  const summary = formatPairs([
    ['id', operation.id],
    ['kind', operation.kind],
    ['image', `${operation.image_name} (${shortId(operation.image_id)})`],
    ['state', stateOf(operation)],
    ['error', operation.error],
    ['stage', operation.stage],
    ['command', operation.command],
    ['by', `pid ${operation.pid} on ${operation.host}`],
    ['started', `${formatAge(operation.started_at, now)} (${operation.started_at})`],
    ['took', tookOf(operation, now)],
    ['cancel asked', operation.cancel_requested_at],
    ['log', operation.log_path],
  ]);
  const events = operation.events.map(({ at, stage, event, message }) => [at, stage, event, message ?? '']);
  return events.length === 0 ? summary : `${summary}\n${formatTable(['AT', 'STAGE', 'EVENT', ''], events)}`;
}
