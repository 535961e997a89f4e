import { chmodSync, constants, lstatSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, symlink, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ContextPlace } from '../context/context.ts';
import { changedWhileRead, readError } from '../context/reading.ts';
import { BangerError, PreflightError } from '../errors.ts';
import { withVolume } from '../ext4/volume.ts';
import type { BindMount, CacheMount, Mount, Origin, RunStep, SecretMount } from '../recipe/recipe.ts';
import { identityOf } from '../system/file-identity.ts';
import { bytesOfName, fsPath } from '../system/file-name.ts';
import type { StepMount } from '../system/sandbox-step.ts';
import { oneLine } from '../text.ts';
import { holdCache } from './cache-mount.ts';
import { archiveOf } from './copy-archive.ts';
import { literal, selectOrigin } from './origin-source.ts';
import type { StepSurroundings } from './recipe-surroundings.ts';
import { noContext } from './recipe-surroundings.ts';

/** A file in memory that is to belong to somebody else than root. */
export interface OwnedMount {
  target: string;
  uid: number;
  gid: number;
}

/** The mounts of a RUN, ready to be used. */
export interface PreparedMounts {
  mounts: StepMount[];
  env: Record<string, string>;
  owned: OwnedMount[];
  /** Values that the command sees. */
  secrets: Buffer[];
  /** Lets go of caches, and removes what was made for the command. */
  release(): Promise<void>;
}

/** @throws PreflightError for a secret that was not given, or a source that is missing; the signal's reason */
export async function prepareMounts(
  step: RunStep,
  where: string,
  around: StepSurroundings,
): Promise<PreparedMounts> {
  const work: (() => Promise<void>)[] = [];
  const prepared: PreparedMounts = {
    ...{ mounts: [], env: {}, owned: [], secrets: [] },
    async release() {
      for (const undo of work.splice(0).reverse()) await undo();
    },
  };
  try {
    for (const mount of step.mounts) await prepare(mount, prepared, work, where, around);
  } catch (error) {
    await prepared.release();
    throw error;
  }
  return prepared;
}

type Undo = (() => Promise<void>)[];

async function prepare(
  mount: Mount,
  prepared: PreparedMounts,
  undo: Undo,
  where: string,
  around: StepSurroundings,
): Promise<void> {
  switch (mount.type) {
    case 'tmpfs':
      prepared.mounts.push({ kind: 'tmpfs', target: mount.target, sizeBytes: mount.size });
      break;
    case 'secret':
      prepareSecret(mount, prepared, where, around);
      break;
    case 'cache':
      prepared.mounts.push(await prepareCache(mount, undo, where, around));
      break;
    case 'bind':
      prepared.mounts.push(await prepareBind(mount, undo, where, around));
  }
}

/** One that was not given and need not be is not there at all (Dockerfile reference, RUN --mount=type=secret). */
function prepareSecret(
  { id, target, env, required, mode, uid, gid }: SecretMount,
  prepared: PreparedMounts,
  where: string,
  { secrets }: StepSurroundings,
): void {
  const content = secrets.find(id);
  if (content === null) {
    if (!required) return;
    throw new PreflightError(where, [
      {
        message: `the secret '${oneLine(id)}' was not given`,
        mend: `give it: --secret id=${oneLine(id)},src=FILE`,
      },
    ]);
  }
  prepared.secrets.push(content);
  if (env !== null) {
    if (content.includes(0)) {
      throw new PreflightError(where, [
        {
          message: `the secret '${oneLine(id)}' holds a NUL, which no variable can`,
          mend: 'take it as a file: leave env out',
        },
      ]);
    }
    prepared.env[env] = content.toString('utf8');
  }
  if (target === null) return;
  const isOwned = uid !== 0 || gid !== 0;
  if (isOwned) prepared.owned.push({ target, uid, gid });
  // What is mounted read-only cannot be given to anybody.
  prepared.mounts.push({ kind: 'data', content, target, mode, writable: isOwned });
}

async function prepareCache(
  mount: CacheMount,
  undo: Undo,
  where: string,
  around: StepSurroundings,
): Promise<StepMount> {
  const fill = async (directory: string): Promise<void> => {
    if (mount.from === null) return;
    const { origin, source } = mount.from;
    const { isDirectory } = await unpackOrigin(origin, source, directory, where, around);
    if (isDirectory) return;
    throw new PreflightError(where, [
      {
        message: `${oneLine(source)} is no directory, and cannot be what a cache begins with`,
        mend: 'name a directory',
      },
    ]);
  };
  const { directory, release } = await holdCache(mount, fill, around);
  undo.push(release);
  return { kind: 'bind', source: directory, target: mount.target, writable: !mount.readonly };
}

/**
 * What a context holds is seen where it is, or, when something in it is left out or may be written over, in a copy that is
 * thrown away.
 */
async function prepareBind(
  { from, source, target, readonly }: BindMount,
  undo: Undo,
  where: string,
  around: StepSurroundings,
): Promise<StepMount> {
  const place = from.kind === 'context' ? await selectContext(source, where, around) : null;
  if (place?.isWhole && readonly) return { kind: 'bind', source: place.path, target, writable: false };
  const directory = await mkdtemp(join(around.scratchDir, 'bind-'));
  undo.push(async () => {
    await around.sandbox.runTool('rm', ['-rf', '--', directory]);
  });
  let copy = join(directory, 'copy');
  if (place !== null) await copyPlace(place, copy, around.signal);
  else if (from.kind !== 'context') {
    await mkdir(copy);
    const { name } = await unpackOrigin(from, source, copy, where, around);
    copy = join(copy, name);
  }
  return { kind: 'bind', source: copy, target, writable: !readonly };
}

async function selectContext(
  source: string,
  where: string,
  { context }: StepSurroundings,
): Promise<ContextPlace> {
  if (context === null) throw noContext(where);
  return context.select(source);
}

/**
 * Puts what a stage or an image has at a path into a directory of the host, with its owners: the host's tar does it where
 * the guest's ids are.
 * @returns the name of a file in it; empty where it became the directory itself
 */
async function unpackOrigin(
  origin: Origin,
  source: string,
  directory: string,
  where: string,
  around: StepSurroundings,
): Promise<{ isDirectory: boolean; name: string }> {
  const { signal, sandbox, log } = around;
  return withVolume(await around.rootfsOf(origin), async (volume) => {
    const options = { excludes: [], parents: false, signal, where };
    const { items, left } = await selectOrigin(volume, [literal(source)], options);
    if (left.length > 0) log.write(`note: ${where}: devices, FIFOs and sockets are left out of the mount`);
    const [top] = items;
    const isDirectory = top?.type === 'directory';
    const named = items.map((item) => (item.path === '' ? { ...item, path: '.' } : item));
    const args = ['-x', '-p', '--numeric-owner', '-C', directory, '-f', '-'];
    await sandbox.feedTool('tar', args, archiveOf(named));
    return { isDirectory, name: isDirectory ? '' : (top?.path ?? '') };
  });
}

async function copyPlace(
  { entries, isDirectory }: ContextPlace,
  copy: string,
  signal: AbortSignal,
): Promise<void> {
  if (isDirectory) await mkdir(copy);
  const directories: [path: string, mode: number][] = [];
  for (const entry of entries) {
    signal.throwIfAborted();
    const { type, mode, source, target } = entry;
    const path = isDirectory && entry.path !== '' ? `${copy}/${entry.path}` : copy;
    try {
      if (type === 'directory') {
        // Its parents are entries, too, and come before it, unless they were left out themselves.
        await mkdir(fsPath(path), { recursive: true });
      } else {
        await mkdir(fsPath(dirname(path)), { recursive: true });
        if (type === 'symlink') await symlink(bytesOfName(target ?? ''), fsPath(path));
        else await copyFile(fsPath(source), fsPath(path), constants.COPYFILE_FICLONE);
      }
      if (type === 'symlink') continue;
      // One that cannot be written to gets its mode when nothing more is to be put into it.
      if (type === 'directory') directories.push([path, mode]);
      else chmodSync(fsPath(path), mode);
      const stats = lstatSync(fsPath(source), { bigint: true });
      if (entry.identity !== null && identityOf(stats) !== entry.identity) throw changedWhileRead(source);
      if (type === 'file')
        await utimes(fsPath(path), Number(stats.atimeMs) / 1000, Number(stats.mtimeMs) / 1000);
    } catch (error) {
      if (error instanceof BangerError) throw error;
      throw readError(source, error);
    }
  }
  for (const [path, mode] of directories.reverse()) chmodSync(fsPath(path), mode);
}
