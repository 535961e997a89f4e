import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BangerError } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import { makeExt4, repairAndPunch } from '../system/ext4.ts';
import { type MountedRoot, openMemoryRoot } from '../system/memory-root.ts';
import { openSandbox } from '../system/sandbox.ts';
import { formatBytes } from '../text.ts';
import type { FlavorContext } from './bootstrap.ts';
import { ROOTFS_LABEL } from './debian-guest.ts';

/** Where a root is filled, and what makes the image of it then. */
export interface Ground {
  root: MountedRoot;
  unsafeIo: boolean;
  finish(): Promise<void>;
}

export async function groundInMemory(
  size: number,
  { stageDir, signal, onLine }: FlavorContext,
  mountpoint: string,
  sizeBytes: number,
): Promise<Ground> {
  const root = await openMemoryRoot({ mountpoint, sizeBytes, signal, onLine });
  return {
    root,
    unsafeIo: false,
    async finish() {
      await makeExt4(join(stageDir, ARTIFACT_FILES.rootfs), {
        sizeBytes: size,
        label: ROOTFS_LABEL,
        fromDirectory: root.root,
        runTool: root.runTool,
        signal,
      }).catch((error: unknown) => {
        throw tooSmall(error, size);
      });
      await root.close();
    },
  };
}

export async function groundOnDisk(
  size: number,
  { stageDir, signal, onLine }: FlavorContext,
  mountpoint: string,
): Promise<Ground> {
  const image = join(stageDir, ARTIFACT_FILES.rootfs);
  await rm(image, { force: true });
  await makeExt4(image, { sizeBytes: size, label: ROOTFS_LABEL, signal });
  const root = await openSandbox({ image, mountpoint, network: 'host', signal, onLine });
  return {
    root,
    unsafeIo: true,
    async finish() {
      await root.close();
      await repairAndPunch(image, { signal });
    },
  };
}

function tooSmall(error: unknown, size: number): unknown {
  if (
    !(error instanceof BangerError) ||
    !/Could not allocate|ext2fs_symlink|No free space/iu.test(error.message)
  ) {
    return error;
  }
  return new BangerError('tool_failed', `the packages do not fit into ${formatBytes(size)}`, {
    cause: error,
    hints: ['ask for a larger root filesystem'],
  });
}
