import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildLog, logged } from '../build-log.ts';
import { BangerError, FaultList } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import { assertArtifactDirFree, assertImageFree, Operation, type OperationPlan } from '../operation.ts';
import { carryOut, publishingStages, type Stage } from '../pipeline.ts';
import type { ProgressMode } from '../progress.ts';
import { updateImage } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { cloneFile, identify, sourceChanged } from '../system/clone.ts';
import type { Workspace } from '../workspace.ts';
import {
  artifactColumns,
  type BootSet,
  bootSetOf,
  copyBootArtifacts,
  describeClone,
  isMissing,
  pathsOf,
} from './artifacts.ts';
import { findImage } from './find.ts';
import { type Gate, passGate } from './gate.ts';
import { readPackagesSidecar } from './packages-sidecar.ts';
import { checkBootSet, type MendOf } from './requirements.ts';
import { checkRoom } from './room.ts';
import { seedSshStage } from './seed-ssh.ts';
import { makeSound, tellRepair } from './sound-copy.ts';
import { type ImagePlaces, placesFor } from './stage-directory.ts';

export interface PromoteOptions {
  ref: string;
  /** What the copy must pass before it is published. */
  gate: Gate | null;
  progress: ProgressMode;
  mendOf: MendOf;
}

/**
 * Copies an unmanaged image into managed storage under its own id; the source is only read.
 * @throws BangerError `conflict` when it is managed or in use; `corrupt` when a directory is in the way;
 *   PreflightError when its files are not what they should be, or change meanwhile
 */
export async function promoteImage(workspace: Workspace, options: PromoteOptions): Promise<ImageRow> {
  const { ref, gate, progress, mendOf } = options;
  // Under the lock: what a killed command left goes first, also where this one is refused.
  const candidate = await workspace.locked(() => findUnmanaged(workspace, ref));
  await checkSource(workspace, candidate, mendOf);
  readPackagesSidecar(candidate.rootfs_path);
  const { operation, decided } = await Operation.begin(workspace, () => reserve(workspace, options));
  const { image, places } = decided;
  const source = presentParts(image);
  const promoted: ImageRow = {
    ...image,
    ...artifactColumns(places.artifactDir, {
      initrd: source.initrd !== null,
      modules: source.modules !== null,
      workSeed: source.workSeed !== null,
    }),
    managed: 1,
    artifact_dir: places.artifactDir,
    seeded_ssh_public_key_fingerprint: null,
    updated_at: new Date().toISOString(),
  };
  const staged = (file: keyof typeof ARTIFACT_FILES): string => join(places.stageDir, ARTIFACT_FILES[file]);

  let identities: ReadonlyMap<string, string>;
  const copyRootfs: Stage = {
    name: 'copy_rootfs',
    async run({ signal, note }) {
      identities = await identifyAll(source);
      await mkdir(places.stageDir, { mode: 0o700 });
      note(describeClone(await cloneFile(source.rootfs, staged('rootfs'), signal)));
      tellRepair(
        await makeSound({ copy: staged('rootfs'), source: source.rootfs, signal }),
        'root filesystem',
        note,
      );
    },
  };
  const copyWorkSeed = (workSeed: string): Stage => ({
    name: 'copy_work_seed',
    async run({ signal, note }) {
      note(describeClone(await cloneFile(workSeed, staged('workSeed'), signal)));
      tellRepair(await makeSound({ copy: staged('workSeed'), source: workSeed, signal }), 'work seed', note);
    },
  });
  const seedSsh = seedSshStage(workspace, staged('workSeed'), promoted);
  const skipWorkSeed: Stage = {
    name: 'skip_missing_work_seed',
    run({ note }) {
      note(`${image.work_seed_path} is gone; the image has no work seed any more`);
    },
  };
  const copyBoot: Stage = {
    name: 'copy_boot_artifacts',
    async run({ signal }) {
      await copyBootArtifacts(source, places.stageDir, signal);
      const sidecar = readPackagesSidecar(source.rootfs);
      if (sidecar !== null) await writeFile(staged('packages'), sidecar, { mode: 0o600 });
      // Each copy was compared with its source; this is for a set that was replaced between two of them.
      for (const [path, identity] of await identifyAll(source)) {
        if (identities.get(path) !== identity) throw sourceChanged(path);
      }
    },
  };
  const workSeedStages =
    source.workSeed !== null
      ? [copyWorkSeed(source.workSeed), seedSsh]
      : image.work_seed_path !== null
        ? [skipWorkSeed]
        : [];
  const log = new BuildLog(places.logPath);
  let recordBoot: ((store: Store) => void) | null = null;
  const verify = (passed: Gate): Stage => ({
    name: 'verify',
    async run({ signal, note, show }) {
      if (passed.boot) log.open();
      const { cacheDir } = workspace.config;
      const ground = { stageDir: places.stageDir, cacheDir, log, signal, note, show };
      recordBoot = await passGate(promoted, passed, ground);
    },
  });
  const publish = (store: Store): void => {
    if (!updateImage(store, promoted)) throw new Error(`image ${image.id} vanished while it was reserved`);
    recordBoot?.(store);
  };
  await logged(workspace, log, () =>
    carryOut(
      operation,
      [
        copyRootfs,
        ...workSeedStages,
        copyBoot,
        ...(gate ? [verify(gate)] : []),
        ...publishingStages(operation, promoted, publish),
      ],
      { progress },
    ),
  );
  return promoted;
}

/** Beside the copies: their directory. */
const MADE = { bytes: 0, inodes: 1 };

async function checkSource({ layout }: Workspace, image: ImageRow, mendOf: MendOf): Promise<void> {
  const source = presentParts(image);
  await checkBootSet(`image ${image.name}`, source, mendOf);
  const faults = new FaultList();
  await checkRoom(faults, layout.imagesDir, { copies: pathsOf(source), more: MADE });
  faults.throwIfAny(`promote ${image.name}`);
}

/** The files that are there: a work seed that is recorded but gone is left out. */
function presentParts(image: ImageRow): BootSet {
  const { workSeed, ...rest } = bootSetOf(image);
  return { ...rest, workSeed: workSeed !== null && isMissing(workSeed) ? null : workSeed };
}

async function identifyAll(source: BootSet): Promise<Map<string, string>> {
  const identities = new Map<string, string>();
  for (const path of pathsOf(source)) identities.set(path, await identify(path));
  return identities;
}

function findUnmanaged({ store }: Workspace, ref: string): ImageRow {
  const image = findImage(store, ref);
  if (!image.managed) return image;
  throw new BangerError('conflict', `${image.name} is managed already`, {
    hints: [`banger image show ${image.name}`],
  });
}

function reserve(
  workspace: Workspace,
  { ref, gate }: PromoteOptions,
): { plan: OperationPlan; image: ImageRow; places: ImagePlaces } {
  const image = findUnmanaged(workspace, ref);
  assertImageFree(workspace.store, image, 'exclusive');
  const places = placesFor(workspace.layout, image.id);
  assertArtifactDirFree(places.artifactDir);
  const plan: OperationPlan = {
    kind: 'promote',
    imageId: image.id,
    imageName: image.name,
    reservations: [{ kind: 'image', key: image.id, mode: 'exclusive' }],
    stageDir: places.stageDir,
    artifactDir: places.artifactDir,
    // What a guest says on its console is all that there is to log.
    ...(gate?.boot ? { logPath: places.logPath } : {}),
  };
  return { plan, image, places };
}
