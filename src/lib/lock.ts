import { setTimeout as sleep } from 'node:timers/promises';
import lockfile from 'proper-lockfile';
import { BangerError } from './errors.ts';
import type { Layout } from './layout.ts';
import { isRunAlive } from './store/liveness.ts';
import { clearLock, epochIs, type LockState, readLock, takeLock } from './store/lock-row.ts';
import type { Store } from './store/store.ts';
import { removeWhatIsThere } from './system/remove.ts';
import { formatDuration, oneLine } from './text.ts';

/** How often a waiter looks again, in milliseconds. */
const POLL_MS = 25;
/** How long it waits before it says for whom, in milliseconds. */
const TELL_AFTER_MS = 1000;
/** Staleness by time switched off: SQLite and the kernel judge, never a clock. The longest delay setTimeout takes. */
const NEVER_STALE = { stale: Number.POSITIVE_INFINITY, update: 2 ** 31 - 1 };

export interface LockOptions {
  /** How long to wait for the lock, in milliseconds. */
  timeoutMs: number;
  signal: AbortSignal;
  /** Called once, when waiting has become noticeable. */
  onWait?: (message: string) => void;
}

/** The lock, held. `epoch` is what every publishing transaction compares (fencing). */
export interface HeldLock {
  readonly epoch: number;
  /** Throws when another run has taken over since. Call inside the transaction that publishes. */
  assertOurs(): void;
  release(): void;
}

/**
 * Takes the cross-process lock on a state directory. SQLite arbitrates, inside BEGIN IMMEDIATE: a live owner's lock
 * is never broken, a dead owner's at once; proper-lockfile's directory is what other tools see of it.
 * @throws BangerError `busy` naming the holder when the time is up; the signal's reason when it is aborted
 */
export async function acquireLock(
  store: Store,
  layout: Layout,
  runId: string,
  options: LockOptions,
): Promise<HeldLock> {
  const startedAt = performance.now();
  let told = false;
  let seen: LockState | null = null;
  for (;;) {
    options.signal.throwIfAborted();
    const outcome = store.tryWrite(() => attempt(store, layout, runId));
    if (outcome !== 'busy') {
      if (outcome.kind === 'taken') return held(store, layout, outcome.epoch);
      seen = outcome.state;
    }
    const holder = (): string =>
      outcome === 'busy' ? describeBusy(store, layout, seen) : describeHolder(outcome.state);
    const waited = performance.now() - startedAt;
    if (waited >= options.timeoutMs) throw notFree(holder(), options.timeoutMs);
    if (!told && waited >= TELL_AFTER_MS) {
      told = true;
      options.onWait?.(`waiting for the lock: ${holder()}`);
    }
    await sleep(POLL_MS, undefined, { signal: options.signal }).catch(() => options.signal.throwIfAborted());
  }
}

type Attempt = { kind: 'taken'; epoch: number } | { kind: 'held'; state: LockState };

/** One try, inside a write transaction. */
function attempt(store: Store, layout: Layout, runId: string): Attempt {
  const state = readLock(store);
  if (state.run_id !== null && isRunAlive(layout.liveDir, state.run_id)) return { kind: 'held', state };
  // What a dead owner left, or a hand put there; no live owner has it.
  removeWhatIsThere(`${layout.lockTarget}.lock`);
  lockfile.lockSync(layout.lockTarget, { realpath: false, ...NEVER_STALE });
  return { kind: 'taken', epoch: takeLock(store, runId) };
}

function held(store: Store, layout: Layout, epoch: number): HeldLock {
  let released = false;
  return {
    epoch,
    assertOurs() {
      if (!epochIs(store, epoch)) {
        throw new BangerError('busy', 'the lock passed to another run; nothing was published', {
          hints: ['run the command again'],
        });
      }
    },
    release() {
      if (released) return;
      released = true;
      store.write(() => {
        if (clearLock(store, epoch)) removeLockDirectory(layout);
      });
    },
  };
}

/** Only decoration: whatever a hand has put in its place must not keep the lock from being released. */
function removeLockDirectory(layout: Layout): void {
  try {
    lockfile.unlockSync(layout.lockTarget, { realpath: false });
  } catch {
    // It is no empty directory any more; what it is, is removed all the same, or that fails.
    removeWhatIsThere(`${layout.lockTarget}.lock`);
  }
}

/**
 * Who is in the way of one that could not even ask for the lock. A writer may be but another who asks just now: where
 * somebody was seen to have the lock, he is named first.
 */
function describeBusy(store: Store, layout: Layout, seen: LockState | null): string {
  const writer = store.describeWriter();
  const isHeld = seen !== null && seen.run_id !== null && isRunAlive(layout.liveDir, seen.run_id);
  if (!isHeld) return writer ?? describeHolder(readLock(store));
  return writer === null ? describeHolder(seen) : `${describeHolder(seen)}; ${writer}`;
}

function describeHolder({ holder, acquired_at }: LockState): string {
  if (holder === null) return 'another program is writing to the registry';
  const since = acquired_at === null ? '' : `, for ${formatDuration(Date.now() - Date.parse(acquired_at))}`;
  return `'${oneLine(holder.command)}' has it (pid ${holder.pid} on ${oneLine(holder.host)}${since})`;
}

function notFree(holder: string, timeoutMs: number): BangerError {
  return new BangerError('busy', `the lock was not free within ${timeoutMs / 1000} s: ${holder}`, {
    hints: ['banger operation list', 'wait longer: --lock-timeout 300'],
  });
}
