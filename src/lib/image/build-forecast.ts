import { imageByName } from '../store/images.ts';
import type { Readings } from '../workspace.ts';
import { type BuildOptions, proposeBuild, reproducibleInputs } from './build-plan.ts';
import { type KeyedStage, type KeyedStep, resultKey } from './build-program.ts';
import { type CachedStep, KeptSteps, type Start } from './kept-steps.ts';
import { sizeOf } from './listing.ts';
import { presentKey } from './ssh-access.ts';
import { stepsAnew } from './steps-anew.ts';

/** A step as it would be done. */
export interface ForecastStep {
  stage: string;
  title: string;
  /** Whether an earlier build's is taken. */
  cached: boolean;
  /** Why not. */
  reason: string | null;
  /** What is kept of it takes, beside what it shares; null where nothing is. */
  bytes: number | null;
}

/** What a build would do. */
export interface Forecast {
  outcome: 'planned';
  name: string | null;
  /** The image that the target begins from; null for none. */
  base_image_id: string | null;
  /** With --if-changed: whether the image that has the name would be left alone. */
  fresh: boolean;
  steps: ForecastStep[];
  /** Of the root filesystem to come, as it claims to be, in bytes. */
  size_bytes: number | null;
  /** What it takes on the disk at the least where nothing is shared, in bytes: what its steps add nobody knows before. */
  allocated_bytes: number | null;
}

/**
 * What a build would do, without doing anything: nothing is locked, made or reserved.
 * @throws BangerError as a build does before it begins
 */
export async function forecastBuild(readings: Readings, options: BuildOptions): Promise<Forecast> {
  const { store, layout, config } = readings;
  const proposal = await proposeBuild({ ...readings, signal: new AbortController().signal }, options);
  const { base, stages, target, reproducible, digest } = proposal;
  const anew = stepsAnew(stages, options);
  const kept = store === null ? null : new KeptSteps({ store, layout });
  const sshKey = options.ssh ? await presentKey(config.sshKeyPath) : null;
  const key =
    options.ssh && sshKey === null ? null : resultKey(target, sshKey, reproducibleInputs(reproducible));
  const isReusable = target.steps.every((step) => !anew.has(step));
  const result = key !== null && isReusable ? (kept?.peekResult(key) ?? null) : null;
  const present = options.name === undefined || store === null ? undefined : imageByName(store, options.name);
  const begins = result?.rootfs ?? kept?.startOf(target, anew).kept?.rootfs ?? base?.row.rootfs_path;
  const size = begins === undefined ? null : sizeOf(begins);
  return {
    outcome: 'planned',
    name: options.name ?? null,
    base_image_id: base?.row.id ?? null,
    fresh: options.replace?.ifChanged === true && digest !== null && digest === present?.recipe_digest,
    steps: forecastSteps(stages, result, kept, anew),
    size_bytes: options.size ?? size?.virtual ?? null,
    allocated_bytes: size?.allocated ?? null,
  };
}

/** Of stages that nothing needs, because what takes from them is kept, nothing is told. */
function forecastSteps(
  stages: readonly KeyedStage[],
  result: CachedStep | null,
  kept: KeptSteps | null,
  anew: ReadonlySet<KeyedStep>,
): ForecastStep[] {
  const told: ForecastStep[][] = [];
  const needed = new Set([stages.at(-1)?.index]);
  for (const stage of stages.toReversed()) {
    if (!needed.has(stage.index)) continue;
    const isRepeated = result !== null && stage === stages.at(-1);
    const start = isRepeated
      ? { done: stage.steps.length, kept: result }
      : (kept?.startOf(stage, anew) ?? { done: 0, kept: null });
    const origins = stage.steps.slice(start.done).flatMap((step) => step.origins);
    for (const origin of [...origins, ...(start.kept === null ? [stage.from] : [])]) {
      if (origin.kind === 'stage') needed.add(origin.index);
    }
    told.unshift(forecastStage(stage, start, kept, anew));
  }
  return told.flat();
}

function forecastStage(
  stage: KeyedStage,
  start: Start,
  kept: KeptSteps | null,
  anew: ReadonlySet<KeyedStep>,
): ForecastStep[] {
  const explain = (index: number): string | null => {
    if (index < start.done) return null;
    if (index > start.done) return 'a step before it would run';
    return kept?.explain(stage, start, anew) ?? 'not kept of an earlier build';
  };
  return stage.steps.map((step, index) => ({
    stage: stage.name ?? String(stage.index),
    title: step.title,
    cached: index < start.done,
    reason: explain(index),
    bytes: index < start.done ? (kept?.peek(step.key)?.bytes ?? null) : null,
  }));
}
