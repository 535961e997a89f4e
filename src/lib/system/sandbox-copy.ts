import { BangerError } from '../errors.ts';
import { type CloneMethod, cloneWritten } from './clone.ts';
import { repairAndPunch } from './ext4.ts';
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

/** A copy, and what is left to do to it, which may take its time: nothing else is done with it until then. */
export interface ImageCopy {
  method: CloneMethod;
  finish(): Promise<void>;
}

/**
 * Copies an image that is mounted, while no step works on it; what was removed from it is not in the copy's free blocks.
 * The kernel's is read-only meanwhile, which empties its journal; not frozen (FIFREEZE), because nobody could unmount it
 * any more after our death. fuse2fs writes out all that it has, which leaves nothing but the note that it is still mounted.
 * @throws BangerError `tool_failed`
 */
export async function copyImage(mounted: MountedImage, entry: Entry, target: string): Promise<ImageCopy> {
  const { kind, image, mountpoint, signal } = mounted;
  switch (kind) {
    case 'memory':
      throw new Error('there is no image to copy');
    case 'fuse': {
      await flush(entry, mounted);
      const method = await cloneWritten(image, target, signal);
      return {
        method,
        async finish() {
          await repairAndPunch(target, { signal });
        },
      };
    }
    case 'loop': {
      await entry.runTool('fstrim', ['--', mountpoint]);
      await remount(entry, mountpoint, 'ro');
      const method = await cloneWritten(image, target, signal);
      await remount(entry, mountpoint, 'rw');
      requireWrittenOut(image, target);
      return { method, finish: async () => {} };
    }
  }
}

/** @throws BangerError `tool_failed` when a copy of an image that is mounted lacks something */
export function requireWrittenOut(image: string, copy: string): void {
  const { state, needsRecovery } = readSuperblock(copy);
  if (state === 'clean' && !needsRecovery) return;
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
