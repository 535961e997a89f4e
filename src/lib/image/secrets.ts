import { BangerError, PreflightError } from '../errors.ts';
import { mountFields } from '../recipe/mount-fields.ts';
import { isThere } from '../system/filesystem.ts';
import { openRegular } from '../system/regular-file.ts';
import { oneLine, shellWord } from '../text.ts';

/** What one secret may hold, in bytes (buildkit, session/secrets/secretsprovider, MaxSecretSize). */
const MAX_BYTES = 500 * 1024;
const KEYS = ['id', 'source', 'env', 'type'];
const HINT = 'write --secret id=NAME,src=FILE, or --secret id=NAME,env=VARIABLE';

/** Values that are there while a command runs, and that no image, log, key of a cache or error may hold. */
export class Secrets {
  readonly #values: ReadonlyMap<string, Buffer>;

  constructor(values: ReadonlyMap<string, Buffer> = new Map()) {
    this.#values = values;
  }

  /** Null for one that was not given. */
  find(id: string): Buffer | null {
    return this.#values.get(id) ?? null;
  }

  get all(): Buffer[] {
    return [...this.#values.values()];
  }
}

interface Place {
  id: string;
  from: { file: string } | { variable: string };
}

/**
 * Reads the secrets that were given: `id=NAME,src=FILE`, `id=NAME,env=VARIABLE`, or `id=NAME`, which is the variable of that
 * name or, where there is none, the file (docker buildx build, --secret).
 * @throws BangerError `usage` for what says no secret
 * @throws PreflightError with all that cannot be read
 */
export function readSecrets(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Secrets {
  const values = new Map<string, Buffer>();
  const faults: { message: string; mend: string }[] = [];
  for (const word of words) {
    const place = parsePlace(word, env);
    if (values.has(place.id)) {
      throw new BangerError('usage', `the secret '${oneLine(place.id)}' is given twice`, {
        hints: ['give it once'],
      });
    }
    const value = readPlace(place, env);
    if (Buffer.isBuffer(value)) values.set(place.id, value);
    else faults.push(value);
  }
  if (faults.length > 0) throw new PreflightError('secrets', faults);
  return new Secrets(values);
}

/** Messages name keys alone: a value that is in the wrong place must not be repeated. */
function parsePlace(word: string, env: Readonly<Record<string, string | undefined>>): Place {
  const refuse = (why: string): BangerError =>
    new BangerError('usage', `a secret cannot be read: ${why}`, { hints: [HINT] });
  let fields: ReturnType<typeof mountFields>;
  try {
    fields = mountFields(word);
  } catch (error) {
    if (!(error instanceof BangerError)) throw error;
    throw refuse('a double quote is missing');
  }
  const values = new Map<string, string>();
  for (const { key, value } of fields) {
    if (!KEYS.includes(key)) throw refuse('it has something that is none of id, src, env and type');
    if (value === null || value === '') throw refuse(`${key} has no value`);
    if (values.has(key)) throw refuse(`${key} is there twice`);
    values.set(key, value);
  }
  const [id, file, variable, type] = KEYS.map((key) => values.get(key));
  if (id === undefined) throw refuse('it has no id');
  if (type !== undefined && type !== 'file' && type !== 'env')
    throw refuse('its type is neither file nor env');
  if (file !== undefined && variable !== undefined) throw refuse('it has both src and env');
  if (type === 'file' && variable !== undefined) throw refuse('a variable is no file');
  if (variable !== undefined) return { id, from: { variable } };
  if (file !== undefined) return { id, from: type === 'env' ? { variable: file } : { file } };
  if (type === 'env' || (type !== 'file' && env[id] !== undefined)) return { id, from: { variable: id } };
  return { id, from: { file: id } };
}

function readPlace(
  { id, from }: Place,
  env: Readonly<Record<string, string | undefined>>,
): Buffer | { message: string; mend: string } {
  const name = `the secret '${oneLine(id)}'`;
  if ('variable' in from) {
    const value = env[from.variable];
    if (value !== undefined) return checkSize(name, Buffer.from(value));
    return {
      message: `${name}: the variable ${oneLine(from.variable)} is not set`,
      mend: `export ${shellWord(from.variable)}`,
    };
  }
  const { file } = from;
  try {
    if (!isThere(file)) {
      return { message: `${name}: ${oneLine(file)} does not exist`, mend: HINT };
    }
    const opened = openRegular(file);
    try {
      if (opened.size > MAX_BYTES) return tooLarge(name);
      return checkSize(name, opened.readAt(0, opened.size));
    } finally {
      opened.close();
    }
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { message: `${name}: ${oneLine(error.message)}`, mend: `ls -l ${shellWord(file)}` };
  }
}

function checkSize(name: string, value: Buffer): Buffer | { message: string; mend: string } {
  return value.length > MAX_BYTES ? tooLarge(name) : value;
}

function tooLarge(name: string): { message: string; mend: string } {
  return { message: `${name} is larger than 500 KiB`, mend: 'keep files that large in the build context' };
}
