import { FaultList } from '../errors.ts';
import { assertImageFree, assertNameFree, assertNameUnreserved, type OperationPlan } from '../operation.ts';
import type { ProgressMode } from '../progress.ts';
import { imageByName } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import { artifactColumns, type BootFiles } from './artifacts.ts';
import {
  type BaseImage,
  bootFilesFrom,
  type GivenFiles,
  isSameBase,
  modulesIdentity,
  readBase,
} from './base-image.ts';
import { type BuildProgram, type KeyedStage, keyProgram, lastKey } from './build-program.ts';
import { type BuildSource, type KnownProgram, type ProgramGround, readProgram } from './build-source.ts';
import type { BuildStep } from './build-step.ts';
import type { BuilderChoice } from './builder.ts';
import { type DigestGround, digestPath } from './digest-path.ts';
import { planFlagSteps, preparationSteps } from './flag-steps.ts';
import type { Gate } from './gate.ts';
import { findHostKernel } from './host-kernel.ts';
import { newImage } from './new-image.ts';
import type { Preset } from './preset.ts';
import type { Replace } from './replace.ts';
import { epochOf, type Reproducible } from './reproducible.ts';
import type { MendOf } from './requirements.ts';
import { type ImagePlaces, placesFor } from './stage-directory.ts';
import { digestOf, type StepInput, stepInput } from './step-key.ts';
import type { Anew } from './steps-anew.ts';

export interface BuildOptions extends GivenFiles {
  /** `image-<unix seconds>` when absent. */
  name?: string | undefined;
  source: BuildSource;
  /** What is done after all that a recipe says. */
  steps: readonly BuildStep[];
  /** Bytes; the base's size is kept when absent. */
  size?: number | undefined;
  docker: boolean;
  /** Absent: none after a recipe; else `debian` on an image with apt, and none on others. */
  preset?: Preset | undefined;
  network: 'host' | 'none';
  builder: BuilderChoice;
  ssh: boolean;
  /** Two builds of the same are equal byte for byte. */
  reproducible?: boolean;
  /** What of earlier builds is not taken for what a step would do. */
  anew: Anew;
  /** Stages of a recipe, by name or number, of which nothing is taken. */
  anewStages: readonly string[];
  /** Takes the name from the image that has it, which becomes an earlier generation. */
  replace?: Replace | undefined;
  progress: ProgressMode;
  /** What it must pass before it is published. */
  gate: Gate | null;
  /** On a terminal alone. */
  shellOnFailure: boolean;
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

/** Ends the decision: an image is not any more what the plan was made from. */
export class BaseChanged extends Error {}

/** All that a build is going to do, read and digested before it is decided. */
export interface BuildProposal extends KnownProgram {
  /** The target last. */
  stages: readonly KeyedStage[];
  target: KeyedStage;
  bootFiles: BootFiles;
  /** How the same comes out again; null where that was not asked for. */
  reproducible: Reproducible | null;
  /** Of all that decides what comes out; null where nobody can say. */
  digest: string | null;
}

/**
 * Reads all that a build depends on, outside the lock: it may take its time.
 * @throws BangerError `not_found` for a base that is not there, `usage` for a recipe that makes no sense
 */
export async function proposeBuild(workspace: ProgramGround, options: BuildOptions): Promise<BuildProposal> {
  const { config, signal } = workspace;
  const ground = { cacheDir: config.cacheDir, signal };
  const known = await readProgram(workspace, options);
  const { base, bases, program, scratch } = known;
  const bootFiles = bootFilesFrom(base?.row ?? null, {
    ...options,
    kernel: options.kernel ?? (scratch === null ? undefined : await hostKernel()),
  });
  const stages = keyProgram(await completeTarget(program, base, bootFiles, options, ground), {
    size: options.size,
    identityOf: (ref) => bases.get(ref)?.identity,
    scratch: scratch?.identity ?? null,
  });
  const target = stages.at(-1);
  if (target === undefined) throw new Error('a build has a target');
  const given = [options.kernel ?? (base === null ? bootFiles.kernel : undefined), options.initrd];
  const digests = given.map((path) => (path === undefined ? '' : digestPath(path, ground)));
  const all = [lastKey(target), ...(await Promise.all(digests))];
  const key = lastKey(target) ?? digestOf([base?.identity ?? null]);
  const reproducible = options.reproducible ? { epoch: epochOf(base), key } : null;
  const told = [base?.identity ?? null, options.ssh, program.labels, ...reproducibleInputs(reproducible)];
  const digest = all.includes(null) ? null : digestOf([all, told]);
  return { ...known, stages, target, bootFiles, reproducible, digest };
}

/** What it adds to what a build depends on. */
export function reproducibleInputs(reproducible: Reproducible | null): StepInput[] {
  return reproducible === null ? [] : [stepInput('reproducible', reproducible.epoch)];
}

async function hostKernel(): Promise<string> {
  const faults = new FaultList();
  const kernel = await findHostKernel(faults, 'give a kernel: --kernel FILE');
  faults.throwIfAny('image build');
  return kernel ?? '';
}

/** What a command line adds to a program's target: what it wants before its steps, and after them. */
async function completeTarget(
  { stages, labels }: BuildProgram,
  base: BaseImage | null,
  bootFiles: BootFiles,
  options: BuildOptions,
  ground: DigestGround,
): Promise<BuildProgram> {
  const { source, preset, network, docker, steps } = options;
  const directory = bootFiles.modules;
  const modules =
    directory === null ? null : { directory, identity: await modulesIdentity(base, bootFiles, ground) };
  const wanted = preset ?? (source.kind === 'recipe' ? 'none' : undefined);
  const before = preparationSteps({ modules, preset: wanted, docker, steps });
  const after = await planFlagSteps({ steps, docker, network }, ground);
  return {
    labels,
    stages: stages.map((stage, index) =>
      index === stages.length - 1 ? { ...stage, steps: [...before, ...stage.steps, ...after] } : stage,
    ),
  };
}

/** What a build has decided under the lock. */
export interface PlannedBuild {
  plan: OperationPlan;
  /** The row to come; stages fill in what they find out. */
  image: ImageRow;
  places: ImagePlaces;
}

/**
 * Decides what a build will make, inside the transaction that reserves it.
 * @throws StillFresh when there is nothing to build; BangerError as an operation that begins
 */
export function planBuild(
  { store, layout }: Workspace,
  name: string,
  options: BuildOptions,
  { bases, base, bootFiles, program, digest }: BuildProposal,
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
      initrd: bootFiles.initrd !== null,
      modules: bootFiles.modules !== null,
      workSeed: true,
    }),
    build_size: options.size ?? null,
    docker: options.docker ? 1 : 0,
    base_image_id: base?.row.id ?? null,
    base_image_name: base?.row.name ?? null,
    labels: JSON.stringify(program.labels),
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
