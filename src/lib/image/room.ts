import { stat } from 'node:fs/promises';
import type { FaultList } from '../errors.ts';
import { filesystemOf } from '../system/filesystem.ts';
import { footprintOf, unwrittenBytes } from '../system/footprint.ts';
import { type Room, roomFault } from '../system/room.ts';

/** What an operation is certain to put into a directory, at its end or before. */
export interface Contents {
  /** Files and directory trees that are copied. */
  copies: readonly string[];
  /** What is made beside the copies. */
  more: Room;
}

/**
 * Adds a fault where that is certain not to fit. Only what is certain is counted, so that nothing is refused which would
 * have fitted: neither what steps will write, nor what may be shared or compressed.
 * @param directory exists
 */
export async function checkRoom(
  faults: FaultList,
  directory: string,
  { copies, more }: Contents,
): Promise<void> {
  const wanted = { bytes: takesAllBytes(directory) ? more.bytes : 0, inodes: more.inodes };
  const taking: string[] = [];
  for (const path of copies) {
    const { bytes, inodes } = await footprintOf(path);
    wanted.inodes += inodes;
    if (!(await takesItsBytes(path, directory))) continue;
    wanted.bytes += bytes;
    taking.push(path);
  }
  if (roomFault(directory, wanted) === null) return;
  // Only now: it takes a program for each.
  for (const path of taking) wanted.bytes -= await unwrittenBytes(path);
  const fault = roomFault(directory, wanted);
  if (fault !== null) faults.add(fault.message, fault.mend);
}

/** Whether a directory's filesystem takes as much as is written: it neither compresses nor finds what it has already. */
function takesAllBytes(directory: string): boolean {
  return ['ext4', 'xfs', 'tmpfs'].includes(filesystemOf(directory).name);
}

/** Whether a copy takes as much there as its source, with which it shares nothing. */
async function takesItsBytes(path: string, directory: string): Promise<boolean> {
  if (!takesAllBytes(directory)) return false;
  return filesystemOf(directory).name !== 'xfs' || (await stat(path)).dev !== (await stat(directory)).dev;
}
