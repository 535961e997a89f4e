import { sql } from './compiler.ts';
import type { OperationRow, ReservationRow } from './schema.ts';
import type { Store } from './store.ts';

export type Reservation = Omit<ReservationRow, 'operation_id'>;
export type Reserved = Reservation & { operation: OperationRow };

function withOperations(store: Store, rows: readonly ReservationRow[]): Reserved[] {
  return rows.flatMap(({ operation_id, ...reservation }) => {
    const operation = store.get(sql.selectFrom('operations').selectAll().where('id', '=', operation_id));
    return operation === undefined ? [] : [{ ...reservation, operation }];
  });
}

/** Who has reserved a name, or an image by id. */
export function reservationsOf(store: Store, kind: Reservation['kind'], key: string): Reserved[] {
  return withOperations(
    store,
    store.all(sql.selectFrom('reservations').selectAll().where('kind', '=', kind).where('key', '=', key)),
  );
}

export function allReservations(store: Store): Reserved[] {
  return withOperations(store, store.all(sql.selectFrom('reservations').selectAll()));
}

export function insertReservations(
  store: Store,
  operationId: string,
  reservations: readonly Reservation[],
): void {
  for (const reservation of reservations) {
    store.change(sql.insertInto('reservations').values({ operation_id: operationId, ...reservation }));
  }
}

export function releaseReservations(store: Store, operationId: string): void {
  store.change(sql.deleteFrom('reservations').where('operation_id', '=', operationId));
}
