import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BuildLog, logged } from '../build-log.ts';
import { messageOf } from '../errors.ts';
import { ARTIFACT_FILES } from '../layout.ts';
import { Operation } from '../operation.ts';
import { carryOut, type Durations, publishingStages, type Stage, type StageContext } from '../pipeline.ts';
import { sideBySide } from '../side-by-side.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { cloneWritten, shareFile } from '../system/clone.ts';
import { syncPath, syncTree } from '../system/durable.ts';
import { type Repair, repairAndPunch } from '../system/ext4.ts';
import { isMounted } from '../system/sandbox.ts';
import type { Workspace } from '../workspace.ts';
import { copyBootArtifacts } from './artifacts.ts';
import {
  BaseChanged,
  type BuildOptions,
  type BuildProposal,
  type PlannedBuild,
  planBuild,
  proposeBuild,
  reproducibleInputs,
  StillFresh,
} from './build-plan.ts';
import { type KeyedStep, lastKey, resultKey } from './build-program.ts';
import { checkBuild } from './build-requirements.ts';
import { type BuilderKind, builderOf, chooseBuilder } from './builder.ts';
import type { PresetFacts } from './flag-steps.ts';
import { type Gate, passGate } from './gate.ts';
import { publishGeneration } from './generation.ts';
import type { CachedStep } from './kept-steps.ts';
import { assertValidName } from './name.ts';
import { packagesDigest } from './packages.ts';
import { repackRootfs, repackWorkSeed } from './reproducible.ts';
import { tellRootfsRepair } from './sound-copy.ts';
import { ensureKeyPair, type KeyPair, seedAuthorizedKey } from './ssh-access.ts';
import { StageBuilder } from './stage-builder.ts';
import type { OpenStage } from './state-keeper.ts';
import { StepCache } from './step-cache.ts';
import type { StepOutcome } from './step-outcome.ts';
import { stepsAnew } from './steps-anew.ts';
import { beginWhenFree } from './wait-for-name.ts';
import { makeWorkSeed, makeWorkSeedOf } from './work-seed.ts';

export interface Built {
  /** `fresh`: the image that has the name is as it should be, and nothing was done. */
  outcome: 'built' | 'fresh';
  image: ImageRow;
  /** Of what was done. */
  operation: { id: string; logPath: string; stages: Durations; steps: readonly StepOutcome[] } | null;
}

/** What a machine needs of an image's files, in the stage directory. */
const MACHINE_FILES = 'machine';
/** How often a build looks again at images that change while it looks. */
const MOST_PROPOSALS = 5;

/**
 * Builds a managed image from a base: cloned, grown, provisioned in a sandbox, published by one rename. What is kept of
 * earlier builds is not done again.
 * @throws BangerError as the stages do: 2, 3, 4, 5, 6, 8 (a step), 9 (a tool), 11; nothing but the log is left
 */
export async function buildImage(workspace: Workspace, options: BuildOptions): Promise<Built> {
  const name = options.name ?? `image-${Math.floor(Date.now() / 1000)}`;
  assertValidName(name);
  for (let proposals = 1; ; proposals += 1) {
    const proposal = await proposeBuild(workspace, options);
    const begin = () => Operation.begin(workspace, () => planBuild(workspace, name, options, proposal));
    try {
      const { operation, decided } = await (options.replace
        ? beginWhenFree(workspace, name, options.replace.waitMs, begin)
        : begin());
      return await new Build(workspace, operation, options, proposal, decided).carryOut();
    } catch (error) {
      if (error instanceof StillFresh) return { outcome: 'fresh', image: error.image, operation: null };
      if (!(error instanceof BaseChanged) || proposals === MOST_PROPOSALS) throw error;
    }
  }
}

/** The state of the image to come, between the stages that make it. */
class Build {
  readonly #workspace: Workspace;
  readonly #operation: Operation;
  readonly #options: BuildOptions;
  readonly #proposal: BuildProposal;
  readonly #image: ImageRow;
  readonly #stageDir: string;
  readonly #log: BuildLog;
  readonly #cache: StepCache;
  /** What is done whatever is kept of it. */
  readonly #anew: ReadonlySet<KeyedStep>;
  #busybox = '';
  #builderKind: BuilderKind = 'sandbox';
  #key: KeyPair | null = null;
  /** The finished image of an earlier build that this one would repeat. */
  #result: CachedStep | null = null;
  #builder: StageBuilder | undefined;
  #open: OpenStage | undefined;
  #kept: Promise<CachedStep | null> = Promise.resolve(null);
  #facts: Partial<PresetFacts> = {};
  #checkedRootfs: Promise<Repair> | undefined;
  #recordBoot: ((store: Store) => void) | null = null;

  constructor(
    workspace: Workspace,
    operation: Operation,
    options: BuildOptions,
    proposal: BuildProposal,
    { image, places }: PlannedBuild,
  ) {
    const { store, layout, run, config } = workspace;
    this.#workspace = workspace;
    this.#operation = operation;
    this.#options = options;
    this.#proposal = proposal;
    this.#image = image;
    this.#stageDir = places.stageDir;
    this.#anew = stepsAnew(proposal.stages, options);
    this.#log = new BuildLog(places.logPath, options.logFile);
    const { signal } = operation;
    const tell = (message: string): void => workspace.notify(message);
    this.#cache = new StepCache({
      ...{ store, layout, run, signal, tell },
      limitBytes: config.cacheLimit,
      copies: config.cacheCopies,
    });
  }

  async carryOut(): Promise<Built> {
    const [operation, image] = [this.#operation, this.#image];
    const { progress, ssh, gate } = this.#options;
    const stages: Stage[] = [
      { name: 'resolve_image', run: (context) => this.#resolve(context) },
      { name: 'launch_builder', run: (context) => this.#launch(context) },
      { name: 'prepare_work_seed', run: (context) => this.#prepareWorkSeed(context) },
      ...(ssh ? [{ name: 'seed_ssh', run: (context: StageContext) => this.#seedSsh(context) }] : []),
      { name: 'write_metadata', run: (context) => this.#writeMetadata(context) },
      ...(gate ? [{ name: 'verify', run: (context: StageContext) => this.#verify(gate, context) }] : []),
      ...publishingStages(operation, image, (store) => this.#publish(store), [this.#staged('modules')]),
    ];
    const abandon = () => this.#abandon();
    const durations = await logged(this.#workspace, this.#log, () =>
      carryOut(operation, stages, { progress, abandon }),
    );
    const steps = this.#builder?.outcomes ?? this.#cachedSteps();
    const { id, log_path } = operation.row;
    return { outcome: 'built', image, operation: { id, logPath: log_path ?? '', stages: durations, steps } };
  }

  #staged(file: keyof typeof ARTIFACT_FILES): string {
    return join(this.#stageDir, ARTIFACT_FILES[file]);
  }

  async #resolve({ signal, note }: StageContext): Promise<void> {
    const { base, bootFiles, target, notes } = this.#proposal;
    const { steps, size, mendOf, ssh } = this.#options;
    const { config, layout } = this.#workspace;
    const [image, log] = [this.#image, this.#log];
    log.open();
    const from = base === null ? 'nothing' : `${base.row.name} (${base.row.id})`;
    log.write(`build ${image.name} (${image.id}) from ${from}`);
    for (const told of notes) {
      log.write(told);
      note(told);
    }
    const imagesDir = layout.imagesDir;
    const builder = await chooseBuilder(this.#options.builder.kind, signal);
    this.#builderKind = builder.kind;
    if (builder.kind === 'vm') {
      const told = `steps run in a virtual machine${builder.reason === null ? '' : ` (${builder.reason})`}`;
      log.write(told);
      note(told);
    }
    const checked = await checkBuild(`build ${image.name}`, {
      bootSet: bootFiles,
      ownModules: base?.row.managed ? base.row.modules_dir : null,
      ...{ steps, size, mendOf, imagesDir, builderFaults: builder.faults },
      isRepacked: this.#proposal.reproducible !== null,
    });
    this.#busybox = checked.busybox;
    image.kernel_format = checked.kernel.format;
    image.kernel_version = checked.kernel.version;
    this.#key = ssh ? await ensureKeyPair(config.sshKeyPath, { signal }) : null;
    const key = this.#resultKey();
    const isReusable = target.steps.every((step) => !this.#anew.has(step));
    const result = key !== null && isReusable ? this.#cache.peekResult(key) : null;
    if (result === null || !this.#cache.claim(result)) return;
    this.#result = result;
    const told = 'kept of an earlier build, all of it';
    log.write(told);
    note(told);
  }

  #resultKey(): string | null {
    const { target, reproducible } = this.#proposal;
    return resultKey(target, this.#key?.publicKey ?? null, reproducibleInputs(reproducible));
  }

  async #launch(context: StageContext): Promise<void> {
    const { base, bootFiles } = this.#proposal;
    await mkdir(this.#stageDir, { mode: 0o700 });
    const begun =
      this.#result === null ? await this.#begin(context) : await this.#repeat(this.#result, context);
    // Now, not at the end: what becomes of a base's files while the steps run is nobody's concern.
    await sideBySide(context.signal, [
      begun,
      async (common) => {
        const own = base?.row.managed ? base.row.modules_dir : null;
        const linked = await copyBootArtifacts(bootFiles, this.#stageDir, common, own);
        // Out to the disk while steps use the processors: less is left to wait for before all is published.
        await syncPath(this.#staged('rootfs'));
        if (bootFiles.modules !== null) await syncTree(this.#staged('modules'), common, { linked });
      },
    ]);
  }

  /** Takes the finished root filesystem of an earlier build. */
  async #repeat(result: CachedStep, { signal }: StageContext): Promise<() => Promise<void>> {
    await cloneWritten(result.rootfs, this.#staged('rootfs'), signal);
    this.#facts = result.facts;
    return async () => {};
  }

  /** Makes the copy that the steps work on; returns what carries them out. */
  async #begin({ show, note }: StageContext): Promise<(signal: AbortSignal) => Promise<void>> {
    const { stages, target, bases, scratch, bootFiles } = this.#proposal;
    const { size, network } = this.#options;
    const openBuilder = await builderOf(this.#builderKind, {
      ...{ choice: this.#options.builder, bootFiles, busybox: this.#busybox, note },
      kernelVersion: this.#image.kernel_version,
      scratch: join(this.#stageDir, MACHINE_FILES),
      cacheDir: this.#workspace.config.cacheDir,
      signal: this.#operation.signal,
    });
    const builder = new StageBuilder({
      stages,
      baseOf(ref) {
        const row = bases.get(ref)?.row;
        if (row === undefined) throw new Error(`${ref} is not among the images of this build`);
        return { path: row.rootfs_path, wasChecked: row.managed === 1 };
      },
      cache: this.#cache,
      async makeScratch(rootfs, common) {
        if (scratch === null) throw new Error('nothing begins from nothing');
        await scratch.make(rootfs, common);
      },
      anew: this.#anew,
      ...{
        stageDir: this.#stageDir,
        size,
        network,
        openBuilder,
        busybox: this.#busybox,
        log: this.#log,
        show,
        note,
        mountsDir: this.#workspace.layout.mountsDir,
      },
      kernelVersion: this.#image.kernel_version,
      shellOnFailure: this.#options.shellOnFailure,
      signal: this.#operation.signal,
    });
    this.#builder = builder;
    const rootfs = this.#staged('rootfs');
    const start = await builder.begin(target, rootfs);
    return async (signal) => {
      const open = await builder.carryOn(target, start, rootfs, signal);
      this.#open = open;
      this.#facts = open.facts;
    };
  }

  async #prepareWorkSeed({ signal }: StageContext): Promise<void> {
    const [rootfs, workSeed] = [this.#staged('rootfs'), this.#staged('workSeed')];
    if (this.#result !== null) {
      await cloneWritten(this.#result.workSeed, workSeed, signal);
      return;
    }
    if (this.#open === undefined) throw new Error('the builder comes before the work seed');
    const { sandbox } = this.#open;
    if (isMounted(sandbox)) await makeWorkSeed(sandbox, workSeed, signal);
    await this.#builder?.close(this.#open);
    if (!isMounted(sandbox)) await makeWorkSeedOf(rootfs, workSeed, signal);
    this.#kept = this.#open.kept;
    // Beside the seeding of the other disk; its outcome is waited for before anything is published.
    this.#checkedRootfs = this.#finishRootfs(rootfs, signal);
    this.#checkedRootfs.catch(() => {});
  }

  async #finishRootfs(rootfs: string, signal: AbortSignal): Promise<Repair> {
    const repair = await repairAndPunch(rootfs, { signal });
    const { reproducible } = this.#proposal;
    if (reproducible !== null) await repackRootfs(rootfs, reproducible, signal);
    return repair;
  }

  async #seedSsh({ signal }: StageContext): Promise<void> {
    if (this.#key === null) throw new Error('the SSH key comes first');
    this.#image.seeded_ssh_public_key_fingerprint = this.#key.fingerprint;
    if (this.#result === null)
      await seedAuthorizedKey(this.#staged('workSeed'), this.#key.publicKey, { signal });
  }

  async #writeMetadata({ note, signal }: StageContext): Promise<void> {
    await this.#builder?.cleanUp();
    await rm(join(this.#stageDir, MACHINE_FILES), { recursive: true, force: true });
    if (this.#checkedRootfs !== undefined) {
      tellRootfsRepair(await this.#checkedRootfs, { log: this.#log, note });
    }
    const { reproducible } = this.#proposal;
    if (reproducible !== null && this.#result === null) {
      await repackWorkSeed(this.#staged('workSeed'), reproducible, signal);
    }
    const { steps, docker } = this.#options;
    const { preset = 'none', presetPackages = [] } = this.#facts;
    this.#image.packages_preset = preset;
    const requested = steps.flatMap((step) => (step.kind === 'packages' ? step.names : []));
    const digest = packagesDigest(presetPackages, requested, docker);
    await writeFile(this.#staged('packages'), digest, { mode: 0o600 });
    if (this.#result === null) await this.#keepResult(note);
  }

  async #verify(gate: Gate, { signal, note, show }: StageContext): Promise<void> {
    const { cacheDir } = this.#workspace.config;
    const ground = { stageDir: this.#stageDir, cacheDir, log: this.#log, signal, note, show };
    this.#recordBoot = await passGate(this.#image, gate, ground);
  }

  #publish(store: Store): void {
    publishGeneration(store, this.#image);
    this.#recordBoot?.(store);
  }

  /** Keeps what is about to be published, for a build that would repeat this one. */
  async #keepResult(note: (message: string) => void): Promise<void> {
    const { target, base } = this.#proposal;
    const [key, stateKey] = [this.#resultKey(), lastKey(target)];
    const parent = await this.#kept;
    if (key === null || stateKey === null || this.#cache.limitBytes === 0) return;
    const directory = join(this.#stageDir, 'result');
    try {
      await mkdir(directory);
      for (const file of ['rootfs', 'workSeed'] as const) {
        await shareFile(this.#staged(file), join(directory, ARTIFACT_FILES[file]));
      }
      const { title, inputs, beforeKey } = target.steps.at(-1) ?? { ...target, inputs: [], beforeKey: null };
      const made = { kind: 'result', key, stateKey, beforeKey, parent, title, inputs } as const;
      if (
        (await this.#cache.keep({
          ...made,
          facts: this.#facts,
          directory,
          base: base?.row.rootfs_path ?? null,
        })) !== null
      )
        return;
      note('the result is not kept: cache_limit leaves no room for it');
    } catch (error) {
      this.#operation.signal.throwIfAborted();
      note(`the result is not kept: ${messageOf(error)}`);
    }
    await rm(directory, { recursive: true, force: true });
  }

  /** When all was taken from an earlier build. */
  #cachedSteps(): StepOutcome[] {
    const { target } = this.#proposal;
    const stage = target.name ?? String(target.index);
    return target.steps.map(({ title }) => ({ stage, title, cached: true, durationMs: 0 }));
  }

  async #abandon(): Promise<void> {
    await this.#builder?.abandon();
    await this.#checkedRootfs?.catch(() => {});
  }
}
