import { BangerError } from '../errors.ts';
import { type ProcessResult, start } from './process.ts';

/** A lock of the kernel's (flock(2)), which ends with this process however that ends. */
export interface HeldLock {
  release(): Promise<void>;
}

export interface LockOptions {
  /** Whether others may hold it as well. */
  shared: boolean;
  /** Whether to wait for those who hold it, as long as it takes. */
  wait: boolean;
  signal: AbortSignal;
}

/** Exit status of flock(1) where somebody else holds the lock. */
const TAKEN = 1;
/** Holds the lock until its stdin ends, as it does with us. */
const HOLDER = 'echo held; exec cat >/dev/null';

/**
 * Locks a file, which is made when it is missing. Node.js has no such call, so flock(1) holds it for us.
 * @returns null when it is taken and not waited for
 * @throws the signal's reason, while it waits; BangerError `tool_failed`
 */
export async function holdLock(
  path: string,
  { shared, wait, signal }: LockOptions,
): Promise<HeldLock | null> {
  const mode = shared ? '--shared' : '--exclusive';
  let isHeld = (): void => {};
  const held = new Promise<null>((resolve) => {
    isHeld = () => resolve(null);
  });
  const child = await start(
    'flock',
    // Without a fork there is one process, and whoever ends it ends the lock.
    ['--no-fork', mode, ...(wait ? [] : ['--nonblock']), '--', path, '/bin/sh', '-c', HOLDER],
    { stdin: 'pipe', signal, onLine: (line) => line === 'held' && isHeld() },
  );
  child.stdin?.on('error', () => {});
  const result: ProcessResult | null = await Promise.race([held, child.exited]);
  // It may have got it because the same signal ended who had it before.
  signal.throwIfAborted();
  if (result === null) {
    return {
      async release() {
        child.stdin?.end();
        await child.exited;
      },
    };
  }
  if (!wait && result.exitCode === TAKEN && result.stderr === '') return null;
  throw new BangerError('tool_failed', `${path}: cannot be locked: ${result.stderr.trim()}`, {
    details: { tool: 'flock', status: result.exitCode },
  });
}
