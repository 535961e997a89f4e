import { GUEST_PATH } from '../system/sandbox-guest.ts';
import { mistake } from './faults.ts';

/** Each RUN has its own copy of them: together they must not fill the memory, whatever a file says. */
const MOST_VARIABLES = 1024;

/** A value by its name. */
export interface Lookup {
  get(name: string): string | undefined;
}

/** What ENV and ARG have set, in one stage, up to one instruction. A value of ENV hides one of ARG, whichever is later. */
export class Variables implements Lookup {
  readonly #args: Map<string, string>;
  readonly #env: Map<string, string>;
  #snapshot: { env: Record<string, string>; argNames: string[] } | undefined;

  /** @param below the stage that this one begins from */
  constructor(below?: Variables) {
    this.#args = new Map(below ? below.#args : []);
    this.#env = new Map(below ? below.#env : []);
  }

  /** PATH is always set: every step finds one. */
  get(name: string): string | undefined {
    return this.#env.get(name) ?? this.#args.get(name) ?? (name === 'PATH' ? GUEST_PATH : undefined);
  }

  setArg(name: string, value: string): void {
    this.#set(this.#args, name, value);
  }

  setEnv(name: string, value: string): void {
    this.#set(this.#env, name, value);
  }

  #set(map: Map<string, string>, name: string, value: string): void {
    if (!/^[^=\u0000-\u0020\u007f]+$/u.test(name)) {
      // Which one is not said: it may come out of another variable.
      throw mistake('the name of a variable is empty, or holds white space or a control character');
    }
    map.set(name, value);
    if (this.#args.size + this.#env.size > MOST_VARIABLES) {
      throw mistake(`these are more than ${MOST_VARIABLES} variables`);
    }
    this.#snapshot = undefined;
  }

  /** All of them, and which are ARG's. Own properties whatever their names are, `__proto__` too. */
  snapshot(): { env: Record<string, string>; argNames: string[] } {
    this.#snapshot ??= {
      env: Object.fromEntries([...this.#args, ...this.#env]),
      argNames: [...this.#args.keys()].filter((name) => !this.#env.has(name)),
    };
    return this.#snapshot;
  }
}
