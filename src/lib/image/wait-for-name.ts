import { setTimeout as sleep } from 'node:timers/promises';
import { BangerError } from '../errors.ts';
import { shortId } from '../id.ts';
import { describeOperation } from '../operation.ts';
import { isRunAlive } from '../store/liveness.ts';
import { type Reserved, reservationsOf } from '../store/reservations.ts';
import { formatDuration } from '../text.ts';
import type { Workspace } from '../workspace.ts';

/** How often a waiter looks again, in milliseconds: what it waits for takes seconds at least. */
const LOOK_AGAIN_MS = 250;

/**
 * Begins an operation that publishes under a name as soon as no other one is about to.
 * @param waitMs how long to wait at most, in milliseconds
 * @throws BangerError `busy` when it takes longer; what `begin` throws but `already_exists`
 */
export async function beginWhenFree<T>(
  workspace: Workspace,
  name: string,
  waitMs: number,
  begin: () => Promise<T>,
): Promise<T> {
  const { signal, notify } = workspace;
  const deadline = performance.now() + waitMs;
  let told = false;
  for (;;) {
    const holder = holderOf(workspace, name);
    if (holder === undefined) {
      try {
        return await begin();
      } catch (error) {
        // Another waiter was first.
        if (!(error instanceof BangerError) || error.code !== 'already_exists') throw error;
        continue;
      }
    }
    if (performance.now() >= deadline) throw stillTaken(name, holder, waitMs);
    if (!told) notify(`waiting for ${describeOperation(holder)}`);
    told = true;
    await sleep(LOOK_AGAIN_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

function holderOf({ store, layout, run }: Workspace, name: string): Reserved['operation'] | undefined {
  return reservationsOf(store, 'name', name)
    .map(({ operation }) => operation)
    .find(({ run_id }) => run_id !== run.row.id && isRunAlive(layout.liveDir, run_id));
}

function stillTaken(name: string, holder: Reserved['operation'], waitMs: number): BangerError {
  const waited = waitMs > 0 ? ` after ${formatDuration(waitMs)}` : '';
  return new BangerError('busy', `the name ${name} is taken${waited} by ${describeOperation(holder)}`, {
    hints: [`banger operation show ${shortId(holder.id)}`, `banger operation cancel ${shortId(holder.id)}`],
  });
}
