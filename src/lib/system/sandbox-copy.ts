import { BangerError } from '../errors.ts';
import { type CloneMethod, cloneWritten } from './clone.ts';
import { markClean } from './debugfs.ts';
import type { Entry } from './sandbox-entry.ts';
import { LOOP_MOUNT_OPTIONS, type MountKind } from './sandbox-holder.ts';
import { flush } from './sandbox-upkeep.ts';
import { readSuperblock } from './superblock.ts';

export interface MountedImage {
  kind: MountKind;
  image: string;
  mountpoint: string;
  signal: AbortSignal;
}

/**
 * Copies an image that is mounted, while no step works on it. The kernel's is read-only meanwhile, which empties its
 * journal; not frozen (FIFREEZE), because nobody could unmount it any more after our death. fuse2fs writes out all that
 * it has, which leaves nothing but the note that it is still mounted.
 * @throws BangerError `tool_failed`
 */
export async function copyImage(mounted: MountedImage, entry: Entry, target: string): Promise<CloneMethod> {
  const { kind, image, mountpoint, signal } = mounted;
  if (kind === 'memory') throw new Error('there is no image to copy');
  let method: CloneMethod;
  if (kind === 'fuse') {
    await flush(entry, mounted);
    method = await cloneWritten(image, target, signal);
    await markClean(target, { signal });
  } else {
    await remount(entry, mountpoint, 'ro');
    method = await cloneWritten(image, target, signal);
    await remount(entry, mountpoint, 'rw');
  }
  const { state, needsRecovery } = readSuperblock(target);
  if (state === 'clean' && !needsRecovery) return method;
  throw new BangerError('tool_failed', `${image} was not written out whole before it was copied`, {
    details: { path: image, state },
  });
}

/** All options again: what is not named would be taken back (mount(2), MS_REMOUNT). */
async function remount(entry: Entry, mountpoint: string, access: 'ro' | 'rw'): Promise<void> {
  await entry.runTool('mount', [
    '-n',
    '-i',
    '-o',
    `remount,${access},${LOOP_MOUNT_OPTIONS}`,
    '--',
    mountpoint,
  ]);
}
