import { assertImageFree, assertNameFree, assertNameUnreserved, type OperationPlan } from '../operation.ts';
import type { ProgressMode } from '../progress.ts';
import { imageByName } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import { artifactColumns } from './artifacts.ts';
import {
  type BaseImage,
  bootSetFrom,
  type GivenFiles,
  isSameBase,
  modulesIdentity,
  readBase,
} from './base-image.ts';
import { type KeyedStage, keyProgram, lastKey, type PlannedStage } from './build-program.ts';
import type { BuildStep } from './build-step.ts';
import { type DigestGround, digestPath } from './digest-path.ts';
import { planFlagSteps, preparationSteps } from './flag-steps.ts';
import { newImage } from './new-image.ts';
import type { Preset } from './preset.ts';
import type { Replace } from './replace.ts';
import type { MendOf } from './requirements.ts';
import { type ImagePlaces, placesFor } from './stage-directory.ts';
import { digestOf } from './step-key.ts';

export interface BuildOptions extends GivenFiles {
  /** `image-<unix seconds>` when absent. */
  name?: string | undefined;
  base: string;
  steps: readonly BuildStep[];
  /** Bytes; the base's size is kept when absent. */
  size?: number | undefined;
  docker: boolean;
  /** Absent: `debian` on an image with apt, else `none`. */
  preset?: Preset | undefined;
  network: 'host' | 'none';
  ssh: boolean;
  /** What of earlier builds is not taken for what a step would do. */
  anew: Anew;
  /** Takes the name from the image that has it, which becomes an earlier generation. */
  replace?: Replace | undefined;
  progress: ProgressMode;
  /** Where the log is written to as well. */
  logFile?: string | undefined;
  mendOf: MendOf;
}

/** `nothing`: whatever is kept is taken. `packages`: from the first step on that may find newer packages. */
export type Anew = 'nothing' | 'packages' | 'everything';

/** Ends the decision: there is nothing to build. */
export class StillFresh extends Error {
  readonly image: ImageRow;

  constructor(image: ImageRow) {
    super(`${image.name} is fresh`);
    this.image = image;
  }
}

/** Ends the decision: an image is not any more what the plan was made from. */
export class BaseChanged extends Error {}

/** All that a build is going to do, read and digested before it is decided. */
export interface BuildProposal {
  /** Every image that it takes something from, by what it is called. */
  bases: ReadonlyMap<string, BaseImage>;
  /** The one whose kernel it has. */
  base: BaseImage;
  /** The target last. */
  stages: readonly KeyedStage[];
  target: KeyedStage;
  /** Of all that decides what comes out; null where nobody can say. */
  digest: string | null;
}

/** What a build has decided under the lock. */
export interface PlannedBuild {
  plan: OperationPlan;
  /** The row to come; stages fill in what they find out. */
  image: ImageRow;
  places: ImagePlaces;
}

/**
 * Reads all that a build depends on, outside the lock: it may take its time.
 * @throws BangerError `not_found` for a base that is not there
 */
export async function proposeBuild(
  { store, config, signal }: Pick<Workspace, 'store' | 'config' | 'signal'>,
  options: BuildOptions,
): Promise<BuildProposal> {
  const ground = { cacheDir: config.cacheDir, signal };
  const base = readBase(store, options.base);
  const bases = new Map([[options.base, base]]);
  const stage = await planTarget(base, options, ground);
  const stages = keyProgram(
    { stages: [stage], labels: {} },
    { size: options.size, identityOf: (ref) => bases.get(ref)?.identity, scratch: null },
  );
  const target = stages.at(-1);
  if (target === undefined) throw new Error('a build has a target');
  const given = [options.kernel, options.initrd].filter((path) => path !== undefined);
  const known = [lastKey(target), ...(await Promise.all(given.map((path) => digestPath(path, ground))))];
  const told = [base.identity, options.kernel !== undefined, options.ssh];
  const digest = known.includes(null) ? null : digestOf([known, told]);
  return { bases, base, stages, target, digest };
}

async function planTarget(
  base: BaseImage,
  options: BuildOptions,
  ground: DigestGround,
): Promise<PlannedStage> {
  const directory = bootSetFrom(base.row, options).modules;
  const modules =
    directory === null ? null : { directory, identity: await modulesIdentity(base, options, ground) };
  const steps = await planFlagSteps(options, ground);
  return {
    index: 0,
    name: null,
    title: options.base,
    from: { kind: 'image', ref: options.base },
    steps: [...preparationSteps({ ...options, modules }), ...steps],
  };
}

/**
 * Decides what a build will make, inside the transaction that reserves it.
 * @throws StillFresh when there is nothing to build; BangerError as an operation that begins
 */
export function planBuild(
  { store, layout }: Workspace,
  name: string,
  options: BuildOptions,
  { bases, base, digest }: BuildProposal,
): PlannedBuild {
  for (const [ref, known] of bases) if (!isSameBase(readBase(store, ref), known)) throw new BaseChanged(ref);
  if (options.replace) {
    assertNameUnreserved(store, name);
    requireReason(imageByName(store, name), digest, options.replace);
  } else assertNameFree(store, name);
  for (const { row } of bases.values()) assertImageFree(store, row, 'shared');
  const blank = newImage(name);
  const { id } = blank;
  const places = placesFor(layout, id);
  const image: ImageRow = {
    ...blank,
    managed: 1,
    artifact_dir: places.artifactDir,
    ...artifactColumns(places.artifactDir, {
      initrd: (options.initrd ?? base.row.initrd_path) !== null,
      modules: (options.modules ?? base.row.modules_dir) !== null,
      workSeed: true,
    }),
    build_size: options.size ?? null,
    docker: options.docker ? 1 : 0,
    base_image_id: base.row.id,
    base_image_name: base.row.name,
    recipe_digest: digest,
  };
  const plan: OperationPlan = {
    kind: 'build',
    imageId: id,
    imageName: name,
    reservations: [
      { kind: 'name', key: name, mode: 'exclusive' },
      ...[...new Set([...bases.values()].map(({ row }) => row.id))].map(
        (key) => ({ kind: 'image', key, mode: 'shared' }) as const,
      ),
    ],
    ...places,
  };
  return { plan, image, places };
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
