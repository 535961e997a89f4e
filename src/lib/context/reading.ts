import { errnoOf, FaultList, PreflightError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { Turn } from '../turn.ts';

/** More faults than this help nobody. */
const ENOUGH_FAULTS = 20;
/** Of a name that was there a moment before; EINVAL is a link that is none now (readlink(2)). */
const VANISHED = ['ENOENT', 'ENOTDIR', 'EINVAL'];

/**
 * One pass over files by synchronous calls, the fastest way through many small ones: it can be interrupted all the same,
 * and tells at its end of everything that was in its way.
 */
export class Reading {
  readonly #turn: Turn;
  readonly #faults = new FaultList();

  constructor(signal: AbortSignal) {
    this.#turn = new Turn(signal);
  }

  /** Whether it is time for a rest. */
  get isTired(): boolean {
    return this.#turn.isOver;
  }

  /** @throws the reason of the signal once it is aborted */
  rest(): Promise<void> {
    return this.#turn.rest();
  }

  /** What system calls say about something that is there; null, and a fault, when they fail. */
  attempt<T>(path: string, call: () => T): T | null {
    try {
      return call();
    } catch (error) {
      if (error instanceof PreflightError) {
        for (const { message, mend } of error.faults) this.addFault(message, mend);
        return null;
      }
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      if (VANISHED.includes(errno)) this.addFault(...changed(path));
      else this.addFault(...unreadable(path, errno));
      return null;
    }
  }

  /** How many things were in its way so far. */
  get faultCount(): number {
    return this.#faults.faults.length;
  }

  /** @throws PreflightError with all faults when there are many */
  addFault(message: string, mend: string): void {
    this.#faults.add(message, mend);
    if (this.faultCount >= ENOUGH_FAULTS) this.end();
  }

  /** @throws PreflightError with all faults, if any */
  end(): void {
    this.#faults.throwIfAny('build context');
  }
}

function changed(path: string): [message: string, mend: string] {
  return [
    `${oneLine(path)} changed while it was being read`,
    'stop whatever writes to it, then run the command again',
  ];
}

function unreadable(path: string, errno: string): [message: string, mend: string] {
  const shown = oneLine(path);
  if (errno === 'ENAMETOOLONG') {
    return [`${shown.slice(0, 200)}…: the path is too long`, 'shorten it, or leave it out by .dockerignore'];
  }
  const why = ['EACCES', 'EPERM'].includes(errno) ? 'by this user' : `(${errno})`;
  return [
    `${shown} cannot be read ${why}`,
    'check owners and modes, or leave it out by a line of .dockerignore',
  ];
}

/** A file that is not what it was when it was found. */
export function changedWhileRead(path: string): PreflightError {
  const [message, mend] = changed(path);
  return new PreflightError('build context', [{ message, mend }]);
}

/** A file that a system call refused; anything else is returned as it is. */
export function readError(path: string, error: unknown): unknown {
  const errno = errnoOf(error);
  // ELOOP: it has become a symbolic link.
  if (errno === undefined || error instanceof PreflightError) return error;
  if (errno === 'ELOOP' || VANISHED.includes(errno)) return changedWhileRead(path);
  const [message, mend] = unreadable(path, errno);
  return new PreflightError('build context', [{ message, mend }]);
}
