import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { BangerError, errnoOf, messageOf, PreflightError } from './errors.ts';
import { parseSize } from './size.ts';
import { keepAddonIn } from './store/addon.ts';
import { oneLine } from './text.ts';

/** What a user may set once instead of on every command line. */
export interface Config {
  /** The file these values came from; it need not exist. */
  path: string;
  stateDir: string;
  cacheDir: string;
  /** How long a deleted image can be had back, in days; 0: not at all. */
  trashDays: number;
  /** How much steps of builds that are kept may take on the disk, in bytes; 0: none are kept. */
  cacheLimit: number;
  /** Where extents cannot be shared: whether every step is kept, or only after what took longer than the copy. */
  cacheCopies: CacheCopies;
  /** Private half of the key pair that is seeded into images; made on first use. */
  sshKeyPath: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const PATHS = ['state_dir', 'cache_dir', 'ssh_key_path'] as const;
const KEYS = [...PATHS, 'trash_days', 'cache_limit', 'cache_copies'] as const;
const CACHE_COPIES = ['every', 'worthwhile'] as const;
export type CacheCopies = (typeof CACHE_COPIES)[number];
type PathKey = (typeof PATHS)[number];
type ConfigFile = Partial<Record<PathKey, string>> & {
  trash_days?: number;
  cache_limit?: number;
  cache_copies?: CacheCopies;
};

const TRASH_DAYS = 7;
const CACHE_LIMIT = 20 * 2 ** 30;
/** Ten years; a larger number is a mistake. */
const LARGEST = 3650;

/** An empty HOME is none; then the password database knows (os.homedir() would return the empty string). */
function homeOf(env: Environment): string {
  return env.HOME || userInfo().homedir;
}

/** XDG base directories must be absolute; others are to be ignored (XDG Base Directory Specification 0.8). */
function xdgDir(env: Environment, name: string, fallback: string): string {
  const value = env[name];
  return value?.startsWith('/') ? value : join(homeOf(env), fallback);
}

function expandHome(path: string, env: Environment): string {
  return path === '~' || path.startsWith('~/') ? join(homeOf(env), path.slice(1)) : path;
}

async function readConfigFile(path: string, mustExist: boolean): Promise<ConfigFile> {
  const fault: Fault = (message, mend) =>
    new PreflightError('configuration', [{ message: `${oneLine(path)}: ${message}`, mend }]);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) {
      throw fault(oneLine(messageOf(error)), `check the file: ls -l '${path}'`);
    }
    if (!mustExist) return {};
    throw new PreflightError('configuration', [
      {
        message: `BANGER_CONFIG names ${oneLine(path)}, which does not exist`,
        mend: 'unset BANGER_CONFIG, or create that file',
      },
    ]);
  }
  const { parse } = await import('smol-toml');
  let values: Record<string, unknown>;
  try {
    values = parse(text);
  } catch (error) {
    throw fault(oneLine(messageOf(error)), 'mend the TOML at the place shown');
  }
  const result: ConfigFile = {};
  for (const [key, value] of Object.entries(values)) {
    const known = KEYS.find((candidate) => candidate === key);
    if (known === undefined) {
      const { nearestTo } = await import('./nearest.ts');
      const guess = nearestTo(key, KEYS).map((name) => `did you mean '${name}'? `);
      throw fault(`unknown key '${oneLine(key)}'`, `${guess.join('')}known keys: ${KEYS.join(', ')}`);
    }
    Object.assign(result, readSetting(known, value, fault));
  }
  return result;
}

type Fault = (message: string, mend: string) => PreflightError;

function readSetting(key: (typeof KEYS)[number], value: unknown, fault: Fault): ConfigFile {
  switch (key) {
    case 'trash_days':
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > LARGEST) {
        throw fault(`'${key}' must be a whole number from 0 to ${LARGEST}`, `write ${key} = ${TRASH_DAYS}`);
      }
      return { [key]: value };
    case 'cache_limit':
      return { [key]: readCacheLimit(value, (message) => fault(message, `write ${key} = "20G", or 0`)) };
    case 'cache_copies': {
      const choice = CACHE_COPIES.find((candidate) => candidate === value);
      if (choice !== undefined) return { [key]: choice };
      const all = CACHE_COPIES.map((one) => `"${one}"`).join(' or ');
      throw fault(`'${key}' must be ${all}`, `write ${key} = "${CACHE_COPIES[0]}"`);
    }
    default:
      if (typeof value !== 'string' || value === '' || value.includes('\0')) {
        throw fault(`'${key}' must be a non-empty string`, `write ${key} = "/a/path"`);
      }
      return { [key]: value };
  }
}

function readCacheLimit(value: unknown, fault: (message: string) => PreflightError): number {
  if (value === 0) return 0;
  if (typeof value !== 'string') throw fault("'cache_limit' must be a size, or 0");
  try {
    return parseSize(value);
  } catch (error) {
    if (!(error instanceof BangerError)) throw error;
    throw fault(`'cache_limit': ${error.message}`);
  }
}

/**
 * Flag, environment, config file, default: the first that is set wins. Relative paths in the file are relative to it.
 * @throws PreflightError for a config file that cannot be read or understood; `usage` for an empty flag: an unset
 *   variable in a script must not lead to the default state
 */
export async function loadConfig(
  flags: { stateDir?: string | undefined },
  env: Environment = process.env,
): Promise<Config> {
  if (flags.stateDir === '') {
    throw new BangerError('usage', '--state-dir: expected a directory but received nothing');
  }
  const explicit = env.BANGER_CONFIG ? resolve(env.BANGER_CONFIG) : undefined;
  const path = explicit ?? join(xdgDir(env, 'XDG_CONFIG_HOME', '.config'), 'banger', 'config.toml');
  const file = await readConfigFile(path, explicit !== undefined);
  const fromFile = (key: PathKey): string | undefined =>
    file[key] === undefined ? undefined : resolve(dirname(path), expandHome(file[key], env));
  const set = (value: string | undefined): string | undefined => (value ? resolve(value) : undefined);
  const config = {
    path,
    stateDir:
      set(flags.stateDir) ??
      set(env.BANGER_STATE_DIR) ??
      fromFile('state_dir') ??
      join(xdgDir(env, 'XDG_STATE_HOME', '.local/state'), 'banger'),
    cacheDir:
      set(env.BANGER_CACHE_DIR) ??
      fromFile('cache_dir') ??
      join(xdgDir(env, 'XDG_CACHE_HOME', '.cache'), 'banger'),
    trashDays: file.trash_days ?? TRASH_DAYS,
    cacheLimit: file.cache_limit ?? CACHE_LIMIT,
    cacheCopies: file.cache_copies ?? 'every',
    sshKeyPath:
      fromFile('ssh_key_path') ?? join(xdgDir(env, 'XDG_CONFIG_HOME', '.config'), 'banger', 'id_ed25519'),
  };
  // Before anything can open a database, whatever command it is.
  keepAddonIn(config.cacheDir);
  return config;
}
