import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildLog, logged } from '../build-log.ts';
import { FaultList } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import { assertNameFree, Operation, type OperationPlan } from '../operation.ts';
import { carryOut, publishingStages, type Stage } from '../pipeline.ts';
import type { ProgressMode } from '../progress.ts';
import type { ImageRow } from '../store/schema.ts';
import { identifyKernel } from '../system/kernel-image.ts';
import { stripControl } from '../text.ts';
import type { Workspace } from '../workspace.ts';
import { artifactColumns } from './artifacts.ts';
import { publishGeneration } from './generation.ts';
import { assertValidName } from './name.ts';
import { newImage } from './new-image.ts';
import { packagesDigest } from './packages.ts';
import { type Contents, checkRoom } from './room.ts';
import { seedSshStage } from './seed-ssh.ts';
import { type ImagePlaces, placesFor } from './stage-directory.ts';

/** What a flavor put into the stage directory, beside rootfs, kernel and work seed. */
export interface Assembled {
  initrd: boolean;
  modules: boolean;
  /** Recorded as the image's preset; null for an image without packages. */
  preset: 'debian' | null;
  /** What was asked for beyond the flavor's own, in order. */
  packages: readonly string[];
  /** The flavor's own packages. */
  presetPackages: readonly string[];
}

export interface FlavorContext {
  /** Where the artifacts go, under the names of ARTIFACT_FILES. */
  stageDir: string;
  signal: AbortSignal;
  /** Each line of output: for the log, and the newest for the screen. */
  onLine(line: string): void;
}

/** How an image comes from nothing. */
export interface Flavor {
  /**
   * Looks at everything it needs before anything is made.
   * @returns what it is certain to put into the stage directory
   * @throws PreflightError
   */
  check(): Promise<Contents>;
  assemble(context: FlavorContext): Promise<Assembled>;
}

export interface BootstrapOptions {
  name: string;
  flavor: Flavor;
  /** Bytes. */
  size: number;
  progress: ProgressMode;
}

/**
 * Makes a managed image from nothing: a flavor fills the stage directory, SSH access is seeded, one rename publishes.
 * @throws BangerError 2, 4, 6, 8, 9; nothing but the log is left
 */
export async function bootstrapImage(workspace: Workspace, options: BootstrapOptions): Promise<ImageRow> {
  const { name, flavor, progress } = options;
  assertValidName(name);
  const { operation, decided } = await Operation.begin(workspace, () => reserve(workspace, options));
  const { image, places } = decided;
  const { stageDir, artifactDir, logPath } = places;
  const staged = (file: keyof typeof ARTIFACT_FILES): string => join(stageDir, ARTIFACT_FILES[file]);
  const log = new BuildLog(logPath);
  let assembled: Assembled | undefined;

  const resolveImage: Stage = {
    name: 'resolve_image',
    async run() {
      log.open();
      log.write(`bootstrap ${name} (${image.id})`);
      const contents = await flavor.check();
      const faults = new FaultList();
      await checkRoom(faults, workspace.layout.imagesDir, contents);
      faults.throwIfAny(`bootstrap ${name}`);
    },
  };
  const assembleRootfs: Stage = {
    name: 'assemble_rootfs',
    async run({ signal, show }) {
      await mkdir(stageDir, { mode: 0o700 });
      assembled = await flavor.assemble({
        stageDir,
        signal,
        onLine(line) {
          log.write(line);
          show(stripControl(line));
        },
      });
      const { initrd, modules, preset } = assembled;
      Object.assign(image, artifactColumns(artifactDir, { initrd, modules, workSeed: true }), {
        packages_preset: preset,
      });
      const kernel = await identifyKernel(staged('kernel'));
      if (kernel.format !== 'unknown')
        Object.assign(image, { kernel_format: kernel.format, kernel_version: kernel.version });
    },
  };
  const seedSsh = seedSshStage(workspace, staged('workSeed'), image);
  const writeMetadata: Stage = {
    name: 'write_metadata',
    async run() {
      if (assembled === undefined) throw new Error('the metadata come after the rootfs');
      const digest = packagesDigest(assembled.presetPackages, assembled.packages, false);
      await writeFile(staged('packages'), digest, { mode: 0o600 });
    },
  };
  await logged(workspace, log, () =>
    carryOut(
      operation,
      [
        resolveImage,
        assembleRootfs,
        seedSsh,
        writeMetadata,
        ...publishingStages(operation, image, (store) => publishGeneration(store, image)),
      ],
      { progress },
    ),
  );
  return image;
}

function reserve(
  { store, layout }: Workspace,
  { name, size }: BootstrapOptions,
): { plan: OperationPlan; image: ImageRow; places: ImagePlaces } {
  assertNameFree(store, name);
  const image = newImage(name);
  const places = placesFor(layout, image.id);
  Object.assign(image, { managed: 1, artifact_dir: places.artifactDir, build_size: size });
  const plan: OperationPlan = {
    kind: 'bootstrap',
    imageId: image.id,
    imageName: name,
    reservations: [{ kind: 'name', key: name, mode: 'exclusive' }],
    ...places,
  };
  return { plan, image, places };
}
