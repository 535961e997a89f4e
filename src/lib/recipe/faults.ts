import { BangerError } from '../errors.ts';
import { oneLine } from '../text.ts';

interface RecipeFault {
  line: number | null;
  message: string;
  hints: readonly string[];
}

/** More of them help nobody. */
const MOST_SHOWN = 20;

/** A mistake in an instruction; where it stands is known further up. */
export function mistake(message: string, ...hints: string[]): BangerError {
  return new BangerError('usage', message, { hints });
}

/** Text of the file as it is repeated in a message. Never what a variable became: its value may be nobody's business. */
export function shown(text: string): string {
  const line = oneLine(text.slice(0, 400));
  return line.length > 80 ? `'${line.slice(0, 79)}…'` : `'${line}'`;
}

/** The hint that names what may have been meant, if there is anything. */
export function didYouMean(names: readonly string[]): string[] {
  return names.length === 0 ? [] : [`did you mean ${names.join(' or ')}?`];
}

/** What is wrong with one recipe, reported together. */
export class RecipeFaults {
  readonly #file: string;
  readonly #faults = new Map<string, RecipeFault>();

  constructor(file: string) {
    this.#file = oneLine(file);
  }

  add(line: number | null, message: string, ...hints: string[]): void {
    // A reference is looked up twice: for the order of the stages, and where it is used.
    this.#faults.set(`${line}: ${message}`, { line, message, hints });
  }

  /** What `work` returns; undefined where it threw a mistake, which is then one of this line. */
  guard<T>(line: number, work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof BangerError) || error.code !== 'usage') throw error;
      this.add(line, error.message, ...error.hints);
      return undefined;
    }
  }

  /** @throws BangerError `usage` that names each of them with its line */
  throwIfAny(): void {
    if (this.#faults.size === 0) return;
    const faults = [...this.#faults.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
    const told = faults.slice(0, MOST_SHOWN);
    const where = (line: number | null): string =>
      faults.length === 1 || line === null ? '' : `line ${line}: `;
    throw new BangerError('usage', this.#message(faults, told), {
      hints: told.flatMap(({ line, hints }) => hints.map((hint) => where(line) + hint)),
      details: { file: this.#file, faults: told.map(({ line, message }) => ({ line, message })) },
    });
  }

  #message(faults: readonly RecipeFault[], told: readonly RecipeFault[]): string {
    const [only] = faults;
    if (faults.length === 1 && only) {
      return `${this.#file}${only.line === null ? '' : `:${only.line}`}: ${only.message}`;
    }
    const lines = told.map(({ line, message }) => `\n  - ${line === null ? '' : `line ${line}: `}${message}`);
    const more = faults.length - told.length;
    if (more > 0) lines.push(`\n  - and ${more} more`);
    return `${this.#file}: ${faults.length} mistakes${lines.join('')}`;
  }
}
