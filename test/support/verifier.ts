import { existsSync, lstatSync } from 'node:fs';
import { copyFile, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { run } from '../../src/lib/system/process.ts';
import {
  inspectArtifacts,
  inspectDirectories,
  inspectSteps,
  inspectTrash,
  inspectVms,
  type RecordedImage,
  type RecordedStep,
} from './verifier-files.ts';
import { inspectKernel } from './verifier-kernel.ts';
import { inspectOwners } from './verifier-owners.ts';

export interface StateOwner {
  uid: number;
}

/** Tells whether a file is the one that it was, and as it was. */
export function identityOf(path: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true });
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

/**
 * Looks at a state directory that no command is using, with other eyes than the program's own, and returns every
 * complaint. A state directory that does not exist is sound.
 * @param sound identities of filesystems that were found sound before
 */
export async function inspectState(
  stateDir: string,
  owner: StateOwner,
  sound: ReadonlySet<string> = new Set(),
): Promise<string[]> {
  const leaked = inspectKernel(stateDir);
  if (!existsSync(stateDir)) return leaked;
  const registry = await inspectRegistry(stateDir);
  const found = [
    ...(await findFilesystems(join(stateDir, 'images'))),
    ...(await findFilesystems(join(stateDir, 'steps'))),
  ];
  const filesystems = found.filter((path) => !sound.has(identityOf(path)));
  return [
    ...leaked,
    ...registry.complaints,
    ...inspectDirectories(stateDir, owner.uid),
    ...inspectArtifacts(stateDir, registry, owner.uid),
    ...inspectTrash(stateDir, registry.deleted, owner.uid),
    ...inspectVms(stateDir, registry.vms, owner.uid),
    ...inspectSteps(stateDir, registry.steps, owner.uid),
    ...(await inspectLiveFiles(join(stateDir, 'live'))),
    ...(await Promise.all(filesystems.map(inspectFilesystem))).flat(),
  ];
}

/** @throws Error with every complaint about a state directory */
export async function assertSound(stateDir: string, owner: StateOwner): Promise<void> {
  const complaints = await inspectState(stateDir, owner);
  if (complaints.length > 0) throw new Error(`the state is not sound:\n  ${complaints.join('\n  ')}`);
}

/** Reads a copy, so that looking changes nothing: opening a WAL database makes files beside it. */
export async function inspectRegistry(stateDir: string): Promise<Registry> {
  const copy = await mkdtemp(join(tmpdir(), 'banger-verifier-'));
  try {
    const path = join(stateDir, 'banger.db');
    if (!existsSync(path)) return { complaints: [], images: [], deleted: [], steps: [], vms: [] };
    for (const suffix of ['', '-wal']) {
      if (existsSync(path + suffix)) await copyFile(path + suffix, join(copy, `banger.db${suffix}`));
    }
    const database = new Sqlite(join(copy, 'banger.db'));
    try {
      return readRegistry(database, stateDir);
    } catch (error) {
      return { complaints: [`banger.db: ${String(error)}`], images: [], deleted: [], steps: [], vms: [] };
    } finally {
      database.close();
    }
  } finally {
    await rm(copy, { recursive: true });
  }
}

interface Registry {
  complaints: string[];
  images: RecordedImage[];
  /** Ids of images in the trash. */
  deleted: string[];
  steps: RecordedStep[];
  vms: { id: string; name: string }[];
}

function readRegistry(database: Sqlite.Database, stateDir: string): Registry {
  const column = (query: string): string[] => database.prepare<[], string>(query).pluck().all();
  const integrity = column('PRAGMA integrity_check').filter((line) => line !== 'ok');
  const complaints = [
    ...integrity.map((line) => `banger.db: integrity_check: ${line}`),
    ...database
      .prepare('PRAGMA foreign_key_check')
      .all()
      .map((row) => `banger.db: foreign_key_check: ${JSON.stringify(row)}`),
    ...column("SELECT kind || ' ' || key FROM reservations").map((what) => `a reservation was left: ${what}`),
    ...column("SELECT kind || ' ' || image_name FROM operations WHERE state = 'running'").map(
      (what) => `an operation never ended: ${what}`,
    ),
    ...column('SELECT command FROM runs').map((command) => `a run never ended: ${command}`),
    ...column('SELECT run_id FROM lock WHERE run_id IS NOT NULL').map(
      (id) => `the lock was left to run ${id}`,
    ),
    ...(existsSync(join(stateDir, 'images.lock')) ? ['images.lock was left'] : []),
  ];
  const tables = column("SELECT name FROM sqlite_schema WHERE type = 'table'");
  return {
    complaints,
    images: database.prepare<[], RecordedImage>('SELECT * FROM images').all(),
    deleted: tables.includes('trash') ? column('SELECT image_id FROM trash') : [],
    steps: tables.includes('cached_steps')
      ? database.prepare<[], RecordedStep>('SELECT id, kind, state, title FROM cached_steps').all()
      : [],
    vms: database.prepare<[], { id: string; name: string }>('SELECT id, name FROM vms').all(),
  };
}

/** A file in `live/` belongs to a run that still holds its lock, or should not be there. */
async function inspectLiveFiles(liveDir: string): Promise<string[]> {
  if (!existsSync(liveDir)) return [];
  const names = await readdir(liveDir);
  return names
    .filter((name) => !isLocked(join(liveDir, name)))
    .map((name) => `live/${name} is of a dead run`);
}

function isLocked(path: string): boolean {
  const probe = new Sqlite(path, { readonly: true, timeout: 0 });
  try {
    probe.pragma('schema_version');
    return false;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY') return true;
    throw error;
  } finally {
    probe.close();
  }
}

/** ext4's magic number, 0xEF53, stands 56 bytes into the superblock, which stands at 1024 (ext4(5), kernel docs). */
export async function findFilesystems(directory: string): Promise<string[]> {
  if (!existsSync(directory)) return [];
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 1024 + 56);
      if (bytesRead === 2 && buffer.readUInt16LE(0) === 0xef53) found.push(path);
      else if (path.endsWith('.ext4')) found.push(path);
    } finally {
      await file.close();
    }
  }
  return found;
}

/** Size that the superblock claims, in bytes: s_blocks_count times 1024 << s_log_block_size (ext4, kernel docs). */
async function claimedSize(path: string): Promise<{ claimed: bigint; actual: bigint }> {
  const file = await open(path, 'r');
  try {
    const { buffer } = await file.read(Buffer.alloc(1024), 0, 1024, 1024);
    const blocks = BigInt(buffer.readUInt32LE(0x4)) + (BigInt(buffer.readUInt32LE(0x150)) << 32n);
    const { size } = await file.stat({ bigint: true });
    return { claimed: blocks * (1024n << BigInt(buffer.readUInt32LE(0x18))), actual: size };
  } finally {
    await file.close();
  }
}

async function inspectFilesystem(path: string): Promise<string[]> {
  // e2fsck -fn exits 0 for a file that was cut short.
  const { claimed, actual } = await claimedSize(path);
  if (actual < claimed) return [`${path} has ${actual} bytes of ${claimed}`];
  const { exitCode, stdout, stderr } = await run('e2fsck', ['-fn', path], { okExit: 'any' });
  if (exitCode !== 0) return [`${path}: e2fsck -fn: ${exitCode}: ${(stdout + stderr).trim()}`];
  return inspectOwners(path, basename(path) === 'work-seed.ext4' ? 'work seed' : 'rootfs');
}
