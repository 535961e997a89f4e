/** Process exit status by error code. `cancelled` is 128 + the signal's number (signal(7)). */
export const EXIT_CODES = {
  internal: 1,
  usage: 2,
  not_found: 3,
  already_exists: 4,
  conflict: 5,
  preflight_failed: 6,
  busy: 7,
  step_failed: 8,
  tool_failed: 9,
  boot_failed: 10,
  corrupt: 11,
  cancelled: 130,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

export interface ErrorOptions {
  /** Each a command to run or a thing to do, as printed. */
  hints?: readonly string[];
  cause?: unknown;
  /** Further fields of the JSON error object, in snake_case. */
  details?: Readonly<Record<string, unknown>>;
  exitCode?: number;
}

/** The one error that reaches a user: what failed, on what, why; then what to do. */
export class BangerError extends Error {
  override readonly name: string = 'BangerError';
  readonly code: ErrorCode;
  readonly exitCode: number;
  hints: readonly string[];
  details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.exitCode = options.exitCode ?? EXIT_CODES[code];
    this.hints = options.hints ?? [];
    this.details = options.details ?? {};
  }

  /** Adds what only a caller further up knows to do, or to tell. */
  annotate({ hints = [], details = {} }: Pick<ErrorOptions, 'hints' | 'details'>): this {
    this.hints = [...this.hints, ...hints];
    this.details = { ...this.details, ...details };
    return this;
  }
}

/** One thing that is not as an operation needs it, and what mends it. */
export interface Fault {
  message: string;
  mend: string;
}

/** Every fault of one pass at once (exit 6). */
export class PreflightError extends BangerError {
  override readonly name = 'PreflightError';
  readonly faults: readonly Fault[];
  /** The message without the faults. */
  readonly summary: string;

  constructor(subject: string, faults: readonly Fault[]) {
    const [only] = faults;
    const summary = `${subject}: ${faults.length} problems`;
    const message =
      faults.length === 1 && only
        ? `${subject}: ${only.message}`
        : `${summary}\n${faults.map((fault) => `  - ${fault.message}`).join('\n')}`;
    super('preflight_failed', message, {
      hints: [...new Set(faults.map((fault) => fault.mend))],
      details: { faults },
    });
    this.faults = faults;
    this.summary = summary;
  }
}

const SIGNAL_EXIT = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
export type CancelSignal = keyof typeof SIGNAL_EXIT;
export const CANCEL_SIGNALS = Object.keys(SIGNAL_EXIT) as CancelSignal[];

/** The run was asked to stop: by a signal, or by `banger operation cancel` (as by SIGTERM). */
export class CancelledError extends BangerError {
  override readonly name = 'CancelledError';

  constructor(signal: CancelSignal, reason = `cancelled by ${signal}`) {
    super('cancelled', reason, { exitCode: SIGNAL_EXIT[signal], details: { signal } });
  }
}

/** Collects the faults of one pass; `throwIfAny` reports them together. */
export class FaultList {
  readonly #faults: Fault[] = [];

  add(message: string, mend: string): void {
    this.#faults.push({ message, mend });
  }

  get faults(): readonly Fault[] {
    return this.#faults;
  }

  throwIfAny(subject: string): void {
    if (this.#faults.length > 0) throw new PreflightError(subject, this.#faults);
  }
}

/** What Linux reports and libuv has no name for (uv-errno.h): number, name, text (errno(3)). */
const NAMELESS: Readonly<Record<string, readonly [name: string, text: string]>> = {
  116: ['ESTALE', 'stale file handle'],
  117: ['EUCLEAN', 'structure needs cleaning'],
  122: ['EDQUOT', 'disk quota exceeded'],
};
/** How Node writes such a one, in `code` and twice in the message. */
const UNKNOWN = /^Unknown system error -(\d+)(?:: Unknown system error -\d+)?/u;

/** The errno name of a Node system error, or undefined. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return NAMELESS[UNKNOWN.exec(error.code)?.[1] ?? '']?.[0] ?? error.code;
}

export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message.replace(UNKNOWN, (unknown, number: string) => NAMELESS[number]?.join(': ') ?? unknown);
}
