import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Sqlite from 'better-sqlite3';
import type { CliOptions, Home } from './cli.ts';
import { fakeBzImage, makeModules, makeRootfs, type RootfsOptions } from './images.ts';

/** An image as `--json` prints it. */
export interface BuiltImage {
  id: string;
  name: string;
  managed: boolean;
  artifact_dir: string;
  rootfs_path: string;
  work_seed_path: string;
  kernel_path: string;
  kernel_version: string | null;
  initrd_path: string | null;
  modules_dir: string | null;
  build_size: number | null;
  packages_preset: string | null;
  docker: boolean;
  seeded_ssh_public_key_fingerprint: string | null;
  base_image_id: string | null;
  base_image_name: string | null;
}

/** What a failed command prints with `--json`. */
export interface Failure {
  error: {
    code: string;
    exit_code: number;
    message: string;
    hints: string[];
    log_path?: string;
    status?: number;
    output?: string[];
  };
}

/** An operation of the journal. */
export interface JournalEntry {
  id: string;
  kind: string;
  state: string;
  pid: number;
  image_name: string;
  stage: string | null;
  error: string | null;
  log_path: string;
  /** Of `--json` alone. */
  alive?: boolean | null;
  started_at: string;
  finished_at: string | null;
  events: { at: string; stage: string; event: string; message: string | null }[];
}

export interface Base {
  rootfs: string;
  kernel: string;
  /** `…/<version>` as depmod leaves it. */
  modules: string;
}

const WAIT_MS = 30_000;
const LOOK_AGAIN_MS = 5;

/** Registers a small busybox image as `base` (a few files below `base/` of the home). */
export async function makeBase(home: Home, options: RootfsOptions = {}): Promise<Base> {
  const kernel = await home.write('base/vmlinuz', fakeBzImage());
  const modules = await makeModules(join(home.directory, 'base'));
  const rootfs = join(home.directory, 'base/rootfs.ext4');
  await makeRootfs(rootfs, { owner: home.account, sizeMiB: 16, ...options });
  await home.ok([
    ...['image', 'register', 'base'],
    ...['--rootfs', rootfs],
    ...['--kernel', kernel],
    ...['--modules', modules],
  ]);
  return { rootfs, kernel, modules };
}

/** For tests of what is done again in each build, or of the space that images alone take. */
export async function keepNoSteps(home: Home): Promise<void> {
  await home.write('.config/banger/config.toml', 'cache_limit = 0\n');
}

/** The command line of a build from `base`. */
export function buildArguments(name: string, ...steps: readonly string[]): string[] {
  return ['image', 'build', name, '--from-image', 'base', ...steps];
}

/** Builds an image from `base` and expects it to succeed. */
export async function build(
  home: Home,
  name: string,
  steps: readonly string[] = [],
  options: CliOptions = {},
): Promise<BuiltImage> {
  const { status, document } = await home.json<BuiltImage>(buildArguments(name, ...steps), options);
  if (status !== 0) throw new Error(`build ${name}: exit ${status}: ${JSON.stringify(document)}`);
  return document;
}

/** Builds an image from `base` and expects it to fail. */
export async function failToBuild(
  home: Home,
  name: string,
  steps: readonly string[],
  options: CliOptions = {},
): Promise<Failure['error']> {
  const { status, document } = await home.json<Failure>(buildArguments(name, ...steps), options);
  if (status !== document.error?.exit_code)
    throw new Error(`build ${name}: exit ${status}: ${JSON.stringify(document)}`);
  return document.error;
}

/**
 * The newest operation on an image's name, or undefined. Read from a copy of the registry, which takes no time and
 * leaves nothing beside it; `operation show` is for tests of its own.
 */
async function newestOperation(home: Home, name: string): Promise<JournalEntry | undefined> {
  const copy = await mkdtemp(join(tmpdir(), 'banger-journal-'));
  try {
    for (const file of ['banger.db', 'banger.db-wal']) {
      const path = join(home.stateDir, file);
      if (existsSync(path)) await copyFile(path, join(copy, file));
    }
    const database = new Sqlite(join(copy, 'banger.db'));
    try {
      const found = database
        .prepare<[string], JournalEntry>(
          'SELECT * FROM operations WHERE image_name = ? ORDER BY started_at DESC, rowid DESC',
        )
        .get(name);
      const events = database
        .prepare<[string], JournalEntry['events'][number]>(
          'SELECT at, stage, event, message FROM operation_events WHERE operation_id = ? ORDER BY id',
        )
        .all(found?.id ?? '');
      return found && { ...found, events };
    } finally {
      database.close();
    }
  } finally {
    await rm(copy, { recursive: true });
  }
}

/** The newest operation on an image's name. */
export async function journalOf(home: Home, name: string): Promise<JournalEntry> {
  const found = await newestOperation(home, name);
  if (!found) throw new Error(`the journal knows no ${name}`);
  return found;
}

/** All build logs of a home, one after the other. */
export async function readLogs(home: Home): Promise<string> {
  const directory = join(home.stateDir, 'image-build');
  if (!existsSync(directory)) return '';
  const logs = await Promise.all(
    (await readdir(directory)).map((name) => readFile(join(directory, name), 'utf8')),
  );
  return logs.join('');
}

/** Waits until a step has printed a line. */
export function untilPrinted(home: Home, line: string): Promise<void> {
  return until(`'${line}' in a log`, async () =>
    new RegExp(`^\\S+ {3}${line}$`, 'mu').test(await readLogs(home)),
  );
}

/** Waits until the newest operation on a name has reached a stage. */
export function untilStage(home: Home, name: string, stage: string): Promise<void> {
  return until(`${name} in ${stage}`, async () => {
    // A copy made while the registry is written to may be of no use.
    const found = await newestOperation(home, name).catch(() => undefined);
    return found?.stage === stage;
  });
}

/** Waits for something to become true; throws what was waited for when it does not. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${WAIT_MS} ms`);
    await sleep(LOOK_AGAIN_MS);
  }
}
