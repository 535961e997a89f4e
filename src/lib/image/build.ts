import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { BuildLog, logged } from '../build-log.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import { Operation } from '../operation.ts';
import { carryOut, type Durations, publishingStages, type Stage, type StageContext } from '../pipeline.ts';
import { sideBySide } from '../side-by-side.ts';
import type { ImageRow } from '../store/schema.ts';
import { cloneFile } from '../system/clone.ts';
import { syncPath, syncTree } from '../system/durable.ts';
import { growExt4, type Repair, repairAndPunch } from '../system/ext4.ts';
import { openSandbox, type Sandbox } from '../system/sandbox.ts';
import type { Workspace } from '../workspace.ts';
import { type BootSet, bootSetOf, copyBootArtifacts, describeClone } from './artifacts.ts';
import { type BuildOptions, type PlannedBuild, planBuild, StillFresh } from './build-plan.ts';
import { checkBuild } from './build-requirements.ts';
import { type BuildStep, mergePackages } from './build-step.ts';
import { publishGeneration } from './generation.ts';
import { installModules } from './modules.ts';
import { assertValidName } from './name.ts';
import { makePackageCache } from './package-cache.ts';
import { packagesDigest } from './packages.ts';
import { choosePreset } from './preset.ts';
import { type Provisioning, runSteps } from './provision.ts';
import { digestInputs } from './recipe-digest.ts';
import { seedSshStage } from './seed-ssh.ts';
import { makeSound, tellRepair } from './sound-copy.ts';
import { beginWhenFree } from './wait-for-name.ts';
import { makeWorkSeed } from './work-seed.ts';

export interface Built {
  /** `fresh`: the image that has the name is as it should be, and nothing was done. */
  outcome: 'built' | 'fresh';
  image: ImageRow;
  /** Of what was done. */
  operation: { id: string; logPath: string; stages: Durations } | null;
}

/**
 * Builds a managed image from a base: cloned, grown, provisioned in a sandbox, published by one rename.
 * @throws BangerError as the stages do: 2, 3, 4, 5, 6, 8 (a step), 9 (a tool), 11; nothing but the log is left
 */
export async function buildImage(workspace: Workspace, options: BuildOptions): Promise<Built> {
  const name = options.name ?? `image-${Math.floor(Date.now() / 1000)}`;
  assertValidName(name);
  const { cacheDir } = workspace.config;
  const inputs = options.replace ? await digestInputs(options, { cacheDir, signal: workspace.signal }) : null;
  const begin = () => Operation.begin(workspace, () => planBuild(workspace, name, options, inputs));
  try {
    const { operation, decided } = await (options.replace
      ? beginWhenFree(workspace, name, options.replace.waitMs, begin)
      : begin());
    return await carryOutBuild(workspace, operation, decided, options);
  } catch (error) {
    if (error instanceof StillFresh) return { outcome: 'fresh', image: error.image, operation: null };
    throw error;
  }
}

async function carryOutBuild(
  workspace: Workspace,
  operation: Operation,
  { base, image, places }: PlannedBuild,
  options: BuildOptions,
): Promise<Built> {
  const { progress, network } = options;
  const { name } = image;
  const bootSet: BootSet = {
    ...bootSetOf(base),
    // In full: the sandbox has another working directory.
    ...(options.kernel === undefined ? {} : { kernel: resolve(options.kernel) }),
    ...(options.initrd === undefined ? {} : { initrd: resolve(options.initrd) }),
    ...(options.modules === undefined ? {} : { modules: resolve(options.modules) }),
    workSeed: null,
  };
  const staged = (file: keyof typeof ARTIFACT_FILES): string => join(places.stageDir, ARTIFACT_FILES[file]);
  const mountpoint = join(places.stageDir, 'mnt');
  const log = new BuildLog(places.logPath, options.logFile);
  let sandbox: Sandbox | undefined;
  let checkedRootfs: Promise<Repair> | undefined;
  let busybox = '';
  let presetPackages: readonly string[] = [];
  const { steps } = options;
  const tell = (repair: Repair, note: (message: string) => void): void => {
    for (const line of repair.repaired) log.write(`e2fsck: ${line}`);
    tellRepair(repair, 'root filesystem', note);
  };

  const resolveImage: Stage = {
    name: 'resolve_image',
    async run() {
      log.open();
      log.write(`build ${name} (${image.id}) from ${base.name} (${base.id})`);
      const checked = await checkBuild(`build ${name}`, {
        bootSet,
        steps,
        size: options.size,
        mendOf: options.mendOf,
        imagesDir: workspace.layout.imagesDir,
      });
      busybox = checked.busybox;
      image.kernel_format = checked.kernel.format;
      image.kernel_version = checked.kernel.version;
    },
  };
  const provision = async ({ signal, show, note }: StageContext): Promise<void> => {
    // A step would write into a damaged one wherever it says that there is room.
    const rootfs = { copy: staged('rootfs'), source: bootSet.rootfs, wasChecked: base.managed === 1 };
    tell(await makeSound({ ...rootfs, signal }), note);
    if (options.size !== undefined) tell(await growExt4(staged('rootfs'), options.size, { signal }), note);
    sandbox = await openSandbox({
      image: staged('rootfs'),
      mountpoint,
      network,
      signal,
      onLine: (line) => log.write(line),
    });
    const packageCache = await makePackageCache(places.stageDir);
    const provisioning: Provisioning = { sandbox, log, show, busybox, packageCache };
    if (bootSet.modules !== null) {
      const versions = await installModules(bootSet.modules, image.kernel_version, provisioning);
      if (versions.length === 0) {
        const lost = `${bootSet.modules} holds no modules of a known kernel version: none are in the rootfs`;
        log.write(lost);
        note(lost);
      }
    }
    const needsPackages = options.docker || steps.some((step) => step.kind === 'packages');
    const chosen = await choosePreset({ preset: options.preset, needsPackages }, provisioning);
    image.packages_preset = chosen.preset;
    presetPackages = chosen.packages;
    const docker: BuildStep[] = options.docker ? [{ kind: 'docker' }] : [];
    await runSteps(mergePackages([...chosen.steps, ...docker, ...steps]), provisioning);
    await packageCache.remove(sandbox);
  };
  const launchBuilder: Stage = {
    name: 'launch_builder',
    async run(context) {
      const { signal, note } = context;
      await mkdir(places.stageDir, { mode: 0o700 });
      await mkdir(mountpoint);
      const method = describeClone(await cloneFile(bootSet.rootfs, staged('rootfs'), signal));
      log.write(`rootfs ${method}`);
      note(method);
      // Now, not at the end: what becomes of a base's files while the steps run is nobody's concern.
      await sideBySide(signal, [
        (common) => provision({ ...context, signal: common }),
        async (common) => {
          await copyBootArtifacts(bootSet, places.stageDir, common);
          // Out to the disk while steps use the processors: less is left to wait for before all is published.
          await syncPath(staged('rootfs'));
          if (bootSet.modules !== null) await syncTree(staged('modules'), common);
        },
      ]);
    },
  };
  const prepareWorkSeed: Stage = {
    name: 'prepare_work_seed',
    async run({ signal }) {
      if (sandbox === undefined) throw new Error('the builder comes before the work seed');
      await makeWorkSeed(sandbox, staged('workSeed'), signal);
      await sandbox.close();
      sandbox = undefined;
      await rmdir(mountpoint);
      // Beside the seeding of the other disk; its outcome is waited for before anything is published.
      checkedRootfs = repairAndPunch(staged('rootfs'), { signal });
      checkedRootfs.catch(() => {});
    },
  };
  const seedSsh = seedSshStage(workspace, staged('workSeed'), image);
  const writeMetadata: Stage = {
    name: 'write_metadata',
    async run({ note }) {
      if (checkedRootfs !== undefined) tell(await checkedRootfs, note);
      const requested = steps.flatMap((step) => (step.kind === 'packages' ? step.names : []));
      await writeFile(staged('packages'), packagesDigest(presetPackages, requested, options.docker), {
        mode: 0o600,
      });
    },
  };
  const stages = await logged(workspace, log, () =>
    carryOut(
      operation,
      [
        resolveImage,
        launchBuilder,
        prepareWorkSeed,
        ...(options.ssh ? [seedSsh] : []),
        writeMetadata,
        ...publishingStages(operation, image, (store) => publishGeneration(store, image)),
      ],
      {
        progress,
        async abandon() {
          await sandbox?.abandon();
          await checkedRootfs?.catch(() => {});
        },
      },
    ),
  );
  return { outcome: 'built', image, operation: { id: operation.row.id, logPath: places.logPath, stages } };
}
