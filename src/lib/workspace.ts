import { statSync } from 'node:fs';
import { type Config, loadConfig } from './config.ts';
import { BangerError, type ErrorCode, errnoOf, FaultList, messageOf, PreflightError } from './errors.ts';
import { type Layout, layoutOf } from './layout.ts';
import type { HeldLock } from './lock.ts';
import type { Leftover } from './recovery.ts';
import type { Run } from './store/liveness.ts';
import { openForReading, openForWriting } from './store/open.ts';
import type { Store } from './store/store.ts';
import { hasDiskFailed } from './system/durable.ts';
import { existingPart, filesystemOf, isMissing } from './system/filesystem.ts';
import { makePrivateDirectory } from './system/private-directory.ts';
import { oneLine } from './text.ts';
import type { ClaimedTrash } from './trash.ts';

export interface WorkspaceFlags {
  stateDir?: string | undefined;
  /** How long to wait for the lock, in milliseconds. */
  lockTimeoutMs: number;
}

/** What a command that only looks has: no lock, no run, and no store where nothing was ever registered. */
export interface Readings {
  config: Config;
  layout: Layout;
  store: Store | null;
}

/** What a command that changes things has, until it closes it. */
export interface Workspace {
  config: Config;
  layout: Layout;
  store: Store;
  run: Run;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP, with a CancelledError as its reason. */
  signal: AbortSignal;
  /** Something a user should know now: who is waited for, what was cleaned up. */
  notify(message: string): void;
  /** Takes the lock and claims what dead runs left. Aborting `signal` (this run's own by default) ends the wait. */
  lock(signal?: AbortSignal): Promise<WorkspaceLock>;
  /** Takes the lock for the time of `use`. */
  locked<T>(use: (lock: WorkspaceLock) => T | Promise<T>): Promise<T>;
  close(): void;
}

export interface WorkspaceLock {
  /** Throws when another run has taken over since. Call inside the transaction that publishes. */
  assertOurs(): void;
  /**
   * Releases the lock, then removes what was claimed under it. Never rejects: what was done under the lock is done, so
   * a failure here is told, and left to the next command.
   */
  release(): Promise<void>;
}

/** What the system says of a state directory that cannot be had is the user's to know, and no bug of ours. */
function usable<T>(stateDir: string, use: () => T): T {
  try {
    return use();
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new PreflightError('state directory', [
      {
        message: `${stateDir} cannot be used: ${messageOf(error)}`,
        mend: 'choose another place: --state-dir DIR',
      },
    ]);
  }
}

/** Refuses state that SQLite or another user would spoil (exit 6). Costs two system calls. */
function checkStateDir(stateDir: string): void {
  const faults = new FaultList();
  const existing = existingPart(stateDir);
  const filesystem = usable(stateDir, () => filesystemOf(existing));
  if (filesystem.remote) {
    faults.add(
      `${stateDir} is on ${filesystem.name}, where the registry's database is not safe`,
      'choose a local directory: --state-dir DIR',
    );
  }
  const uid = process.geteuid?.() ?? 0;
  if (existing === stateDir) {
    const stat = statSync(stateDir);
    if (!stat.isDirectory()) {
      faults.add(`${stateDir} is not a directory`, 'choose another place: --state-dir DIR');
    } else if (stat.uid !== uid) {
      faults.add(
        `${stateDir} belongs to another user (uid ${stat.uid}, this is uid ${uid})`,
        uid === 0
          ? 'run as that user, or keep root its own: sudo -H banger …'
          : 'choose another place: --state-dir DIR',
      );
    }
  }
  faults.throwIfAny('state directory');
}

export async function openReadings(flags: Pick<WorkspaceFlags, 'stateDir'>): Promise<Readings> {
  const config = await loadConfig(flags);
  checkStateDir(config.stateDir);
  const layout = layoutOf(config.stateDir);
  return { config, layout, store: openForReading(layout) };
}

/**
 * Opens an existing registry to leave a mark in it: no lock, no run.
 * @returns null where nothing was ever registered
 */
export async function openForMark(
  flags: Pick<WorkspaceFlags, 'stateDir'>,
): Promise<{ layout: Layout; store: Store | null }> {
  const config = await loadConfig(flags);
  checkStateDir(config.stateDir);
  const layout = layoutOf(config.stateDir);
  if (isMissing(layout.database)) return { layout, store: null };
  const { isRunAlive } = await import('./store/liveness.ts');
  return { layout, store: await openForWriting(layout, (runId) => isRunAlive(layout.liveDir, runId)) };
}

export interface WorkspaceContext {
  signal: AbortSignal;
  notify: (message: string) => void;
  /** The command line as it is shown to others who wait for this run. */
  command: string;
}

/** Opens everything a command that changes things needs, making the state directory (0700) on first use. */
export async function openWorkspace(flags: WorkspaceFlags, context: WorkspaceContext): Promise<Workspace> {
  const config = await loadConfig(flags);
  checkStateDir(config.stateDir);
  const layout = layoutOf(config.stateDir);
  for (const directory of [layout.stateDir, layout.liveDir, layout.imagesDir, layout.logDir, layout.vmsDir]) {
    usable(layout.stateDir, () => makePrivateDirectory(directory));
  }
  const [
    { beginRun, isRunAlive },
    { acquireLock },
    { claimLeftovers, removeLeftovers },
    { claimExpired, removeTrash },
    { claimSteps, removeCachedSteps },
  ] = await Promise.all([
    import('./store/liveness.ts'),
    import('./lock.ts'),
    import('./recovery.ts'),
    import('./trash.ts'),
    import('./cached-steps.ts'),
  ]);
  const store = await openForWriting(layout, (runId) => isRunAlive(layout.liveDir, runId));
  let run: Run;
  try {
    run = beginRun(store, layout.liveDir, context.command);
  } catch (error) {
    store.close();
    throw error;
  }
  const release = (held: HeldLock): void => {
    try {
      held.release();
    } catch (error) {
      context.notify(`the lock is kept until this command ends: ${messageOf(error)}`);
    }
  };
  const lock = async (signal = context.signal): Promise<WorkspaceLock> => {
    const held = await acquireLock(store, layout, run.row.id, {
      timeoutMs: flags.lockTimeoutMs,
      signal,
      onWait: context.notify,
    });
    const tellOfTrash = (error: unknown): void =>
      context.notify(`old trash could not be removed: ${messageOf(error)}`);
    let leftovers: Leftover[];
    let steps: string[];
    let expired: ClaimedTrash[] = [];
    try {
      leftovers = claimLeftovers(store, layout, run.row.id);
      steps = claimSteps({ store, layout, run });
    } catch (error) {
      release(held);
      throw error;
    }
    try {
      expired = claimExpired({ store, layout, run }, config.trashDays);
    } catch (error) {
      tellOfTrash(error);
    }
    for (const { operation } of leftovers) {
      context.notify(`cleaning up after '${oneLine(operation.command)}', which was killed`);
    }
    return {
      assertOurs: () => held.assertOurs(),
      async release() {
        release(held);
        const claimed = leftovers.splice(0);
        await removeLeftovers(store, claimed);
        await removeTrash({ store }, expired.splice(0)).catch(tellOfTrash);
        await removeCachedSteps({ store, layout }, steps.splice(0)).catch((error: unknown) =>
          context.notify(`steps that are not kept any more could not be removed: ${messageOf(error)}`),
        );
        for (const { operation, failure } of claimed) {
          if (failure === undefined) continue;
          context.notify(
            `not all that '${oneLine(operation.command)}' left could be removed (${messageOf(failure)}); the next command tries again`,
          );
        }
      },
    };
  };
  return {
    config,
    layout,
    store,
    run,
    signal: context.signal,
    notify: context.notify,
    lock,
    async locked(use) {
      const taken = await lock();
      try {
        return await use(taken);
      } finally {
        await taken.release();
      }
    },
    close() {
      try {
        run.end();
      } catch (error) {
        // Not worth the result: the kernel signs a process off, and the next command its row.
        context.notify(`this run is still in the registry: ${messageOf(error)}`);
      } finally {
        store.close();
      }
    },
  };
}

/** What may as well be the doing of a disk that has failed. */
const DOUBTFUL: readonly ErrorCode[] = ['corrupt', 'internal'];

/** Where the disk has failed, whatever looks damaged, or is not there, need not be so: the disk is what is told then. */
export function orDiskFailure(error: unknown, layout: Layout): unknown {
  const isDoubtful = !(error instanceof BangerError) || DOUBTFUL.includes(error.code);
  if (!isDoubtful || !hasDiskFailed(layout.database)) return error;
  const cause = error instanceof BangerError && error.code === 'internal' ? error.cause : error;
  return new BangerError('tool_failed', `the disk returned an error: ${messageOf(cause)}`, {
    hints: ['dmesg | tail'],
    cause: error,
  });
}
