import { posix } from 'node:path';
import { mistake, shown } from './faults.ts';
import type { MountField } from './mount-fields.ts';

/** Go's strconv.ParseBool. */
const TRUE = /^(?:1|t|true)$/iu;
const FALSE = /^(?:0|f|false)$/iu;
const SIZE = /^(\d{1,15})([kmgt]?)(?:i?b)?$/iu;
const UNITS = ['', 'k', 'm', 'g', 't'];
/** The largest but one: that one means no id to the kernel (chown(2)). */
const LARGEST_ID = 0xfffffffe;

/** The fields of one mount by their keys; where one stands there twice, the last. */
export class MountOptions {
  readonly #fields: ReadonlyMap<string, MountField>;
  readonly #expand: (word: string) => string;
  readonly #cwd: string;

  constructor(fields: readonly MountField[], expand: (word: string) => string, cwd: string) {
    this.#fields = new Map(fields.map((field) => [field.key, field]));
    this.#expand = expand;
    this.#cwd = cwd;
  }

  /** Before variables are replaced. */
  written(key: string): string | undefined {
    const field = this.#fields.get(key);
    if (field?.value === null) throw mistake(`${key} of a mount needs a value`, `write ${key}=VALUE`);
    return field?.value;
  }

  text(key: string): string | undefined {
    const written = this.written(key);
    return written === undefined ? undefined : this.#expand(written);
  }

  isTrue(key: string): boolean {
    const field = this.#fields.get(key);
    if (field === undefined) return false;
    const value = field.value === null ? 'true' : this.#expand(field.value);
    if (!TRUE.test(value) && !FALSE.test(value))
      throw mistake(`${shown(field.written)} is neither true nor false`);
    return TRUE.test(value);
  }

  isReadonly(fallback: boolean): boolean {
    if (this.#fields.has('readwrite')) return !this.isTrue('readwrite');
    return this.#fields.has('readonly') ? this.isTrue('readonly') : fallback;
  }

  /** @throws BangerError `usage` where there is none */
  target(): string {
    const target = this.optionalTarget();
    if (target === null) throw mistake('a mount has no target', 'write target=/a/path');
    return target;
  }

  optionalTarget(): string | null {
    const text = this.text('target');
    if (text === undefined || text === '') return null;
    const target = posix.resolve('/', this.#cwd, text);
    if (target === '/') throw mistake('the target of a mount cannot be the whole filesystem');
    return target;
  }

  oneOf<Choice extends string>(key: string, choices: readonly [Choice, ...Choice[]]): Choice {
    const value = this.text(key)?.toLowerCase();
    if (value === undefined) return choices[0];
    return choices.find((choice) => choice === value) ?? this.#refuse(key, `one of ${choices.join(', ')}`);
  }

  mode(fallback: number): number {
    const value = this.text('mode');
    if (value === undefined) return fallback;
    return /^0*[0-7]{1,4}$/u.test(value)
      ? Number.parseInt(value, 8)
      : this.#refuse('mode', 'an octal number');
  }

  /** Of a user or group; 0 where none is given. */
  id(key: 'uid' | 'gid'): number {
    const value = this.text(key);
    if (value === undefined) return 0;
    const isId = /^\d{1,10}$/u.test(value) && Number(value) <= LARGEST_ID;
    return isId ? Number(value) : this.#refuse(key, 'a number');
  }

  bytes(key: string): number | null {
    const value = this.text(key);
    if (value === undefined) return null;
    const [whole, number = '', unit = ''] = SIZE.exec(value) ?? [];
    if (whole === undefined) return this.#refuse(key, 'a size as 512m');
    return Number(number) * 1024 ** UNITS.indexOf(unit.toLowerCase());
  }

  #refuse(key: string, wanted: string): never {
    throw mistake(`${shown(this.#fields.get(key)?.written ?? key)} of a mount is not ${wanted}`);
  }
}
