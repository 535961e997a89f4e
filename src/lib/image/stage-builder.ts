import { statSync } from 'node:fs';
import { link, mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildLog } from '../build-log.ts';
import { BangerError } from '../errors.ts';
import type { Origin } from '../recipe/recipe.ts';
import { type CloneMethod, cloneFile, cloneWritten } from '../system/clone.ts';
import { growExt4 } from '../system/ext4.ts';
import { isThere } from '../system/filesystem.ts';
import type { Sandbox } from '../system/sandbox.ts';
import { describeClone } from './artifacts.ts';
import { type CachedFacts, type KeyedStage, type KeyedStep, lastKey } from './build-program.ts';
import type { OpenBuilder } from './builder.ts';
import type { Start } from './kept-steps.ts';
import { StagePackages } from './package-cache.ts';
import { makeSound, tellRootfsRepair } from './sound-copy.ts';
import { type OpenStage, StateKeeper } from './state-keeper.ts';
import type { StepCache } from './step-cache.ts';
import type { StepOutcome } from './step-outcome.ts';

/** A root filesystem that a stage begins from, or takes files from. */
export interface BaseDisk {
  path: string;
  /** It was checked whole when it was published, and nobody writes to it. */
  wasChecked: boolean;
}

export interface StageBuilderOptions {
  stages: readonly KeyedStage[];
  /** The root filesystem of an image of ours, by what the recipe calls it. */
  baseOf(ref: string): BaseDisk;
  /** Makes a root filesystem from nothing. */
  makeScratch(rootfs: string, signal: AbortSignal): Promise<void>;
  cache: StepCache;
  /** Steps that are carried out whatever is kept of them. */
  anew: ReadonlySet<KeyedStep>;
  /** On the filesystem of the state directory. */
  stageDir: string;
  /** Bytes that root filesystems are grown to. */
  size: number | undefined;
  network: 'host' | 'none';
  openBuilder: OpenBuilder;
  busybox: string;
  kernelVersion: string | null;
  log: BuildLog;
  /** Whether a step that fails leaves the user in a shell, in the state that it left, before all is undone. */
  shellOnFailure: boolean;
  /** Where what is downloaded lives between builds. */
  mountsDir: string;
  show(line: string): void;
  note(message: string): void;
  signal: AbortSignal;
}

/** Carries out the stages of a build, of each no more than has not been kept of an earlier one. */
export class StageBuilder {
  readonly #options: StageBuilderOptions;
  readonly #outcomes = new Map<KeyedStep, StepOutcome>();
  readonly #finished = new Map<string, Promise<string>>();
  readonly #sandboxes = new Set<Sandbox>();
  readonly #keeper: StateKeeper;
  #count = 0;

  constructor(options: StageBuilderOptions) {
    this.#options = options;
    const { cache, log, note, signal } = options;
    this.#keeper = new StateKeeper({ cache, log, note, signal, newPath: () => this.#newPath() });
  }

  /** What became of each step that was looked at, in their order. */
  get outcomes(): StepOutcome[] {
    const steps = this.#options.stages.flatMap((stage) => stage.steps);
    return steps.flatMap((step) => this.#outcomes.get(step) ?? []);
  }

  /** Where the target is taken up, without doing anything yet: the image that it begins from, or what is kept. */
  async begin(stage: KeyedStage, rootfs: string): Promise<Start> {
    const start = this.#claimStart(stage);
    await this.#copyStart(stage, start, rootfs);
    return start;
  }

  /** Carries out what is left of a stage on the copy that `begin` made, and leaves it mounted. */
  async carryOn(
    stage: KeyedStage,
    { done, kept }: Start,
    rootfs: string,
    signal: AbortSignal,
  ): Promise<OpenStage> {
    const { cache, log, network, busybox, mountsDir, openBuilder } = this.#options;
    if (kept === null) await this.#prepareBase(stage, rootfs, signal);
    const mountpoint = mountpointOf(rootfs);
    await mkdir(mountpoint);
    const onLine = (line: string): void => log.write(line);
    const sandbox = await openBuilder({ image: rootfs, mountpoint, network, signal, onLine });
    this.#sandboxes.add(sandbox);
    const open: OpenStage = {
      rootfs,
      sandbox,
      facts: kept?.facts ?? {},
      // What begins from another stage shares extents with that one's last state.
      kept: Promise.resolve(kept ?? (stage.from.kind === 'stage' ? cache.peek(stage.startKey) : null)),
    };
    const ground = { sandbox, busybox, log, signal };
    const packages = await StagePackages.make(`${rootfs}.apt`, mountsDir, ground);
    let unkeptMs = 0;
    let reason = cache.explain(stage, { done, kept }, this.#options.anew);
    for (const [index, step] of [...stage.steps.entries()].slice(done)) {
      const startedAt = performance.now();
      open.facts = { ...open.facts, ...(await this.#carryOutOrLook(stage, step, packages, ground)) };
      const durationMs = performance.now() - startedAt;
      this.#tell(stage, step, { cached: false, reason, durationMs });
      if (step.key !== null && this.#options.anew.has(step)) await cache.supersede(step.key);
      reason = 'a step before it ran';
      unkeptMs += durationMs;
      const isFinished = stage === this.#options.stages.at(-1) && index === stage.steps.length - 1;
      if (step.key === null || !this.#keeper.isWorthKeeping(unkeptMs, step, isFinished)) continue;
      if (await this.#keeper.keep({ ...step, key: step.key }, open, this.#baseOf(stage))) unkeptMs = 0;
    }
    await packages.remove();
    return open;
  }

  /** Unmounts what `carryOn` left mounted. */
  async close({ sandbox, rootfs }: OpenStage): Promise<void> {
    await sandbox.close();
    this.#sandboxes.delete(sandbox);
    await rmdir(mountpointOf(rootfs));
  }

  /** Waits for what is being kept, and removes the disks of other stages: nothing of it is published. */
  async cleanUp(): Promise<void> {
    await this.#keeper.settled();
    await rm(this.#ownDir, { recursive: true, force: true });
  }

  /** After an error: ends what is mounted; what is on its way into the cache still gets there. */
  async abandon(): Promise<void> {
    for (const sandbox of this.#sandboxes) await sandbox.abandon();
    await this.#keeper.settled();
  }

  /** The root filesystem that a stage ends with, or an image has, for others to read. */
  rootfsOf(origin: Origin): Promise<string> {
    const name = origin.kind === 'image' ? `image ${origin.ref}` : `stage ${origin.index}`;
    const finished = this.#finished.get(name) ?? this.#finish(origin);
    this.#finished.set(name, finished);
    return finished;
  }

  async #finish(origin: Origin): Promise<string> {
    const { baseOf, stages, signal } = this.#options;
    const path = await this.#newPath();
    if (origin.kind === 'image') {
      const { path: source, wasChecked } = baseOf(origin.ref);
      if (wasChecked) return source;
      await cloneFile(source, path, signal);
      await makeSound({ copy: path, source, wasChecked, signal });
      return path;
    }
    const stage = stages.find(({ index }) => index === origin.index);
    if (stage === undefined) throw new Error(`there is no stage ${origin.index}`);
    const start = this.#claimStart(stage);
    const { done, kept } = start;
    if (kept !== null && done === stage.steps.length) {
      // Nobody writes to either; the cache may drop its name.
      await link(kept.rootfs, path);
      return path;
    }
    await this.#copyStart(stage, start, path);
    const open = await this.carryOn(stage, start, path, this.#options.signal);
    await this.close(open);
    await open.kept;
    return path;
  }

  #claimStart(stage: KeyedStage): Start {
    const { cache, anew } = this.#options;
    let start = cache.startOf(stage, anew);
    // Another command may take it away until it is claimed; what was kept before it may still be there.
    while (start.kept !== null && !cache.claim(start.kept)) start = cache.startOf(stage, anew);
    for (const step of stage.steps.slice(0, start.done))
      this.#tell(stage, step, { cached: true, durationMs: 0 });
    return start;
  }

  async #copyStart(stage: KeyedStage, { kept, done }: Start, target: string): Promise<void> {
    const { log, note, signal, baseOf } = this.#options;
    if (kept !== null) {
      const startedAt = performance.now();
      this.#keeper.tookToCopy(await cloneWritten(kept.rootfs, target, signal), startedAt);
      log.write(`${stage.title}: ${done} of ${stage.steps.length} steps are kept of an earlier build`);
      return;
    }
    let method: CloneMethod;
    if (stage.from.kind === 'stage') {
      const below = await this.rootfsOf(stage.from);
      const startedAt = performance.now();
      method = await cloneWritten(below, target, signal);
      this.#keeper.tookToCopy(method, startedAt);
    } else if (stage.from.kind === 'image') {
      const startedAt = performance.now();
      const { path, wasChecked } = baseOf(stage.from.ref);
      // Where extents are not shared, the cache has second names of managed images' disks.
      method = await cloneFile(path, target, signal, { isLinked: wasChecked });
      // From another filesystem it says nothing of copies that are made here.
      if (statSync(path).dev === statSync(target).dev) this.#keeper.tookToCopy(method, startedAt);
    } else {
      await this.#options.makeScratch(target, signal);
      return;
    }
    log.write(`rootfs ${describeClone(method)}`);
    note(describeClone(method));
  }

  /** A step would write into a damaged one wherever it says that there is room. */
  async #prepareBase({ from }: KeyedStage, rootfs: string, signal: AbortSignal): Promise<void> {
    const { baseOf, size } = this.#options;
    if (from.kind !== 'image') return;
    const { path, wasChecked } = baseOf(from.ref);
    const told = this.#options;
    tellRootfsRepair(await makeSound({ copy: rootfs, source: path, wasChecked, signal }), told);
    if (size !== undefined) tellRootfsRepair(await growExt4(rootfs, size, { signal }), told);
  }

  async #carryOutOrLook(
    stage: KeyedStage,
    step: KeyedStep,
    packageCache: StagePackages,
    ground: { sandbox: Sandbox; signal: AbortSignal },
  ): Promise<CachedFacts | undefined> {
    const { shellOnFailure, log, note } = this.#options;
    try {
      return await this.#carryOut(stage, step, packageCache, ground);
    } catch (error) {
      if (!shellOnFailure || !(error instanceof BangerError) || error.code !== 'step_failed') throw error;
      log.write(error.message);
      note(`${error.message}\nThis is the image as the step left it; leave the shell to go on: exit`);
      await ground.sandbox.runShell(step.shell ?? {});
      throw error;
    }
  }

  async #carryOut(
    stage: KeyedStage,
    step: KeyedStep,
    packageCache: StagePackages,
    { sandbox, signal }: { sandbox: Sandbox; signal: AbortSignal },
  ): Promise<CachedFacts | undefined> {
    const { log, show, note, busybox, network, stageDir, kernelVersion, anew } = this.#options;
    const before = stage.steps.slice(0, stage.steps.indexOf(step));
    await packageCache.begin(
      step.apt,
      before.map(({ apt }) => apt),
      network,
      { state: lastKey({ ...stage, steps: before }), isAnew: anew.has(step) },
    );
    let hasFailed = true;
    try {
      const facts = await step.carryOut({
        ...{ sandbox, log, show, note, signal, busybox, packageCache, kernelVersion },
        scratchDir: stageDir,
        rootfsOf: (origin) => this.rootfsOf(origin),
      });
      hasFailed = false;
      return facts;
    } finally {
      // Also what a step fetched before it failed: whoever tries again need not wait for it.
      if (!signal.aborted) await packageCache.end({ hasFailed });
    }
  }

  /** What a stage's first state was made from. */
  #baseOf({ from }: KeyedStage): string | null {
    const { stages, baseOf } = this.#options;
    if (from.kind === 'image') return baseOf(from.ref).path;
    const below = from.kind === 'stage' ? stages.find(({ index }) => index === from.index) : undefined;
    return below === undefined ? null : this.#baseOf(below);
  }

  #tell(stage: KeyedStage, step: KeyedStep, rest: Omit<StepOutcome, 'stage' | 'title'>): void {
    this.#outcomes.set(step, { stage: stage.name ?? String(stage.index), title: step.title, ...rest });
  }

  async #newPath(): Promise<string> {
    // Not mkdir's `recursive`, which tells a used-up quota as ENOENT (Node 24.21.0).
    if (!isThere(this.#ownDir)) await mkdir(this.#ownDir);
    this.#count += 1;
    return join(this.#ownDir, String(this.#count));
  }

  get #ownDir(): string {
    return join(this.#options.stageDir, 'stages');
  }
}

/** Outside of what is published; the sandbox wants an empty directory. */
function mountpointOf(rootfs: string): string {
  return `${rootfs}.mnt`;
}
