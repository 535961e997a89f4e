import { setImmediate } from 'node:timers/promises';

/** How long work may go on before signals and timers have their turn, in milliseconds. */
const TURN_MS = 20;

/** Work by synchronous calls, the fastest way through many small things, that can be interrupted all the same. */
export class Turn {
  readonly #signal: AbortSignal | undefined;
  #begun = Date.now();

  /** @throws the reason of the signal when it is aborted */
  constructor(signal?: AbortSignal) {
    signal?.throwIfAborted();
    this.#signal = signal;
  }

  /** Whether it is time for a rest. */
  get isOver(): boolean {
    return Date.now() - this.#begun >= TURN_MS;
  }

  /** @throws the reason of the signal once it is aborted */
  async rest(): Promise<void> {
    await setImmediate();
    this.#signal?.throwIfAborted();
    this.#begun = Date.now();
  }
}
