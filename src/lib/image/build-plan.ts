import { assertImageFree, assertNameFree, assertNameUnreserved, type OperationPlan } from '../operation.ts';
import type { ProgressMode } from '../progress.ts';
import { imageByName } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import { artifactColumns } from './artifacts.ts';
import type { BuildStep } from './build-step.ts';
import { findImage } from './find.ts';
import { newImage } from './new-image.ts';
import type { Preset } from './preset.ts';
import { recipeDigest } from './recipe-digest.ts';
import type { Replace } from './replace.ts';
import type { MendOf } from './requirements.ts';
import { type ImagePlaces, placesFor } from './stage-directory.ts';

export interface BuildOptions {
  /** `image-<unix seconds>` when absent. */
  name?: string | undefined;
  base: string;
  steps: readonly BuildStep[];
  /** Bytes; the base's size is kept when absent. */
  size?: number | undefined;
  docker: boolean;
  kernel?: string | undefined;
  initrd?: string | undefined;
  modules?: string | undefined;
  /** Absent: `debian` on an image with apt, else `none`. */
  preset?: Preset | undefined;
  network: 'host' | 'none';
  ssh: boolean;
  /** Takes the name from the image that has it, which becomes an earlier generation. */
  replace?: Replace | undefined;
  progress: ProgressMode;
  /** Where the log is written to as well. */
  logFile?: string | undefined;
  mendOf: MendOf;
}

/** Ends the decision: there is nothing to build. */
export class StillFresh extends Error {
  readonly image: ImageRow;

  constructor(image: ImageRow) {
    super(`${image.name} is fresh`);
    this.image = image;
  }
}

/** What a build has decided under the lock. */
export interface PlannedBuild {
  plan: OperationPlan;
  base: ImageRow;
  /** The row to come; stages fill in what they find out. */
  image: ImageRow;
  places: ImagePlaces;
}

/** Judged under the lock: what was waited for may have built the image just now. */
function requireReason(
  present: ImageRow | undefined,
  digest: string | null,
  { ifChanged, ifOlderMs }: Replace,
): void {
  if (present === undefined || (!ifChanged && ifOlderMs === undefined)) return;
  const isChanged = ifChanged && (digest === null || digest !== present.recipe_digest);
  const isOld = ifOlderMs !== undefined && Date.now() - Date.parse(present.created_at) >= ifOlderMs;
  if (!isChanged && !isOld) throw new StillFresh(present);
}

/**
 * Decides what a build will make, inside the transaction that reserves it.
 * @param inputs the digest of what is built but for the base
 * @throws StillFresh when there is nothing to build; BangerError as an operation that begins
 */
export function planBuild(
  { store, layout }: Workspace,
  name: string,
  options: BuildOptions,
  inputs: string | null,
): PlannedBuild {
  const base = findImage(store, options.base);
  const digest = recipeDigest(inputs, base);
  if (options.replace) {
    assertNameUnreserved(store, name);
    requireReason(imageByName(store, name), digest, options.replace);
  } else assertNameFree(store, name);
  assertImageFree(store, base, 'shared');
  const blank = newImage(name);
  const { id } = blank;
  const places = placesFor(layout, id);
  const image: ImageRow = {
    ...blank,
    managed: 1,
    artifact_dir: places.artifactDir,
    ...artifactColumns(places.artifactDir, {
      initrd: (options.initrd ?? base.initrd_path) !== null,
      modules: (options.modules ?? base.modules_dir) !== null,
      workSeed: true,
    }),
    build_size: options.size ?? null,
    docker: options.docker ? 1 : 0,
    base_image_id: base.id,
    base_image_name: base.name,
    recipe_digest: digest,
  };
  const plan: OperationPlan = {
    kind: 'build',
    imageId: id,
    imageName: name,
    reservations: [
      { kind: 'name', key: name, mode: 'exclusive' },
      { kind: 'image', key: base.id, mode: 'shared' },
    ],
    ...places,
  };
  return { plan, base, image, places };
}
