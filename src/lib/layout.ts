import { join } from 'node:path';

/** Where things live below the state directory. Paths only: nothing here touches the disk. */
export interface Layout {
  stateDir: string;
  database: string;
  /** proper-lockfile's directory is this path with `.lock` added. */
  lockTarget: string;
  liveDir: string;
  imagesDir: string;
  /** Directories of images that were deleted, by their ids. */
  trashDir: string;
  logDir: string;
  /** What builds keep of their steps: a directory each, by their ids; and what their cache mounts hold. */
  stepsDir: string;
  mountsDir: string;
  vmsDir: string;
  reserve: string;
  /** Where `check --repair` puts what nobody can explain; made when there is something. */
  lostAndFound: string;
}

/** Below `images/`, so that a rename moves a directory there; no id begins with a dot. */
export const TRASH = '.trash';

export function layoutOf(stateDir: string): Layout {
  return {
    stateDir,
    database: join(stateDir, 'banger.db'),
    lockTarget: join(stateDir, 'images'),
    liveDir: join(stateDir, 'live'),
    imagesDir: join(stateDir, 'images'),
    trashDir: join(stateDir, 'images', TRASH),
    logDir: join(stateDir, 'image-build'),
    stepsDir: join(stateDir, 'steps'),
    mountsDir: join(stateDir, 'mounts'),
    vmsDir: join(stateDir, 'vms'),
    reserve: join(stateDir, 'reserve'),
    lostAndFound: join(stateDir, 'lost+found'),
  };
}

/** The files of a managed image below its artifact directory. */
export const ARTIFACT_FILES = {
  rootfs: 'rootfs.ext4',
  kernel: 'kernel',
  initrd: 'initrd.img',
  modules: 'modules',
  workSeed: 'work-seed.ext4',
  packages: 'rootfs.ext4.packages.sha256',
} as const;

/** Where an artifact directory goes before it is removed, so that nobody finds half of it under its name. */
export function asidePath(path: string, operationId: string): string {
  return `${path}.removing-${operationId}`;
}
