import { closeSync, fsyncSync, openSync, renameSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';

/** Makes a directory's entries durable (fsync(2): an fsync of a file does not cover its name). */
export function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

export function syncFile(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Makes every file and directory of a tree durable. Symbolic links become so with the directory that holds them. */
export async function syncTree(
  root: string,
  signal: AbortSignal,
  { durable = [], linked = false }: TreeDurability = {},
): Promise<void> {
  signal.throwIfAborted();
  for (const entry of await readdir(root, { withFileTypes: true })) {
    const path = join(root, entry.name);
    if (durable.includes(path)) continue;
    if (entry.isDirectory()) await syncTree(path, signal, { durable, linked });
    else if (entry.isFile() && !linked) await syncPath(path);
  }
  await syncPath(root);
}

/** What of a tree need not be made durable any more. */
export interface TreeDurability {
  /** Paths whose content is. */
  durable?: readonly string[];
  /** Its files are second names of files that are: what is new are the directories. */
  linked?: boolean;
}

/** fsync(2) of a file or directory, off the main thread. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** rename(2), durable when it returns: both names' directories are synced. */
export function renameDurably(from: string, to: string): void {
  renameSync(from, to);
  syncDirectory(dirname(to));
  if (dirname(from) !== dirname(to)) syncDirectory(dirname(from));
}

/**
 * Whether the filesystem of a file has failed, as it does for good after an error of its disk: whatever is read from it
 * then may look damaged, or not be there, and need not be so.
 */
export function hasDiskFailed(path: string): boolean {
  try {
    syncFile(path);
    return false;
  } catch (error) {
    return errnoOf(error) === 'EIO';
  }
}
