import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { BangerError } from '../errors.ts';
import { shortId } from '../id.ts';
import { assertImageFree, assertNameFree, runAtOnce } from '../operation.ts';
import { imageByName, updateImage } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import type { BootSet } from './artifacts.ts';
import { publishGeneration } from './generation.ts';
import { assertValidName } from './name.ts';
import { newImage } from './new-image.ts';
import { checkBootSet, type MendOf } from './requirements.ts';

export interface RegisterOptions {
  name: string;
  rootfs: string;
  kernel: string;
  initrd?: string | undefined;
  modules?: string | undefined;
  /** When absent, the file beside the rootfs is taken where there is one. */
  workSeed?: string | undefined;
  docker: boolean;
  mendOf: MendOf;
}

export interface Registered {
  image: ImageRow;
  outcome: 'registered' | 'updated';
}

/** `X.ext4` → `X.work-seed.ext4`; any other `X` → `X.work-seed`. */
function workSeedBeside(rootfs: string): string {
  return rootfs.endsWith('.ext4')
    ? `${rootfs.slice(0, -'.ext4'.length)}.work-seed.ext4`
    : `${rootfs}.work-seed`;
}

/**
 * Makes files that stay where they are known as an image; an unmanaged image of that name is updated in place.
 * @throws PreflightError listing every fault of the files; `conflict` for a managed name or one in use
 */
export async function registerImage(workspace: Workspace, options: RegisterOptions): Promise<Registered> {
  assertValidName(options.name);
  const bootSet = bootSetFrom(options);
  const kernel = await checkBootSet(`image ${options.name}`, bootSet, options.mendOf);
  const now = new Date().toISOString();
  const described = {
    name: options.name,
    rootfs_path: bootSet.rootfs,
    kernel_path: bootSet.kernel,
    initrd_path: bootSet.initrd,
    modules_dir: bootSet.modules,
    work_seed_path: bootSet.workSeed,
    docker: options.docker ? 1 : 0,
    kernel_format: kernel.format,
    kernel_version: kernel.version,
    updated_at: now,
  } as const;
  return runAtOnce<Registered>(workspace, () => {
    const { store } = workspace;
    const present = imageByName(store, options.name);
    if (present === undefined) {
      assertNameFree(store, options.name);
      const image: ImageRow = { ...newImage(options.name), ...described, created_at: now };
      return {
        plan: { kind: 'register', imageId: image.id, imageName: image.name, reservations: [] },
        apply() {
          publishGeneration(store, image);
          return { image, outcome: 'registered' };
        },
      };
    }
    if (present.managed) throw managedName(present);
    assertImageFree(store, present, 'exclusive');
    const sameSeed = present.work_seed_path === described.work_seed_path;
    const image: ImageRow = {
      ...present,
      ...described,
      seeded_ssh_public_key_fingerprint: sameSeed ? present.seeded_ssh_public_key_fingerprint : null,
    };
    return {
      plan: { kind: 'register', imageId: image.id, imageName: image.name, reservations: [] },
      apply() {
        updateImage(store, image);
        return { image, outcome: 'updated' };
      },
    };
  });
}

function bootSetFrom(options: RegisterOptions): BootSet {
  const optional = (path: string | undefined): string | null => (path === undefined ? null : resolve(path));
  const rootfs = resolve(options.rootfs);
  const beside = workSeedBeside(rootfs);
  const workSeed = optional(options.workSeed) ?? (existsSync(beside) ? beside : null);
  return {
    rootfs,
    kernel: resolve(options.kernel),
    initrd: optional(options.initrd),
    modules: optional(options.modules),
    workSeed,
  };
}

function managedName(image: ImageRow): BangerError {
  return new BangerError(
    'conflict',
    `${image.name} is a managed image (${shortId(image.id)}): its files belong to banger`,
    {
      hints: ['register under another name', `banger image show ${image.name}`],
    },
  );
}
