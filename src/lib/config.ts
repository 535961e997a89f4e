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
  /** Private half of the key pair that is seeded into images; made on first use. */
  sshKeyPath: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const PATHS = ['state_dir', 'cache_dir', 'ssh_key_path'] as const;
const KEYS = [...PATHS, 'trash_days', 'cache_limit'] as const;
type PathKey = (typeof PATHS)[number];
type ConfigFile = Partial<Record<PathKey, string>> & { trash_days?: number; cache_limit?: number };

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
  const fault = (message: string, mend: string) =>
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
    if (known === 'trash_days') {
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > LARGEST) {
        throw fault(`'${key}' must be a whole number from 0 to ${LARGEST}`, `write ${key} = ${TRASH_DAYS}`);
      }
      result[known] = value;
      continue;
    }
    if (known === 'cache_limit') {
      result[known] = readCacheLimit(value, (message) => fault(message, 'write cache_limit = "20G", or 0'));
      continue;
    }
    if (typeof value !== 'string' || value === '' || value.includes('\0')) {
      throw fault(`'${key}' must be a non-empty string`, `write ${key} = "/a/path"`);
    }
    result[known] = value;
  }
  return result;
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
    sshKeyPath:
      fromFile('ssh_key_path') ?? join(xdgDir(env, 'XDG_CONFIG_HOME', '.config'), 'banger', 'id_ed25519'),
  };
  // Before anything can open a database, whatever command it is.
  keepAddonIn(config.cacheDir);
  return config;
}
