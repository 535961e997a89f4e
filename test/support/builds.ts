import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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
  alive: boolean | null;
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
const LOOK_AGAIN_MS = 20;

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

/** The newest operation on an image's name. */
export async function journalOf(home: Home, name: string): Promise<JournalEntry> {
  const { document } = await home.json<JournalEntry[]>(['operation', 'list', '--limit', '100']);
  const found = document.find(({ image_name }) => image_name === name);
  if (!found) throw new Error(`the journal knows no ${name}`);
  return (await home.json<JournalEntry>(['operation', 'show', found.id])).document;
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
    const { document } = await home.json<JournalEntry[]>(['operation', 'list', '--limit', '100']);
    return document.find(({ image_name }) => image_name === name)?.stage === stage;
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
