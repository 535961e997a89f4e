import type { Origin } from '../recipe/recipe.ts';
import type { AptUse } from './apt-use.ts';
import type { Provisioning } from './provision.ts';
import { type StepInput, stepInput, stepKey } from './step-key.ts';

/** What was found out on the way to a state, and is true of it. */
export type CachedFacts = Readonly<Record<string, unknown>>;

/** What a step finds while it is carried out. */
export interface StepGround extends Provisioning {
  /** A finished stage's or image's root filesystem: clean, not mounted, and not to be written to. */
  rootfsOf(origin: Origin): Promise<string>;
  /** A directory for what a step needs for its time. */
  scratchDir: string;
  /** Null where the kernel does not tell. */
  kernelVersion: string | null;
  signal: AbortSignal;
  /** Something that must not be missed. */
  note(message: string): void;
}

/** A step of a build, whatever it was written as. */
export interface PlannedStep {
  title: string;
  /** What its result depends on beside the state before it; null where nobody can say. */
  inputs: readonly StepInput[] | null;
  /** Stages and images that it reads. */
  origins: readonly Origin[];
  /** Whether it comes before the steps that a user gave. */
  isPreparation?: true;
  /** Whether it asks for packages, of which there may be newer ones at any time. */
  installs: boolean;
  /** What a shell in its place would find; variables alone where there are any. */
  shell?: { env: Readonly<Record<string, string>>; cwd: string };
  apt: AptUse;
  /** @returns what it found out */
  carryOut(ground: StepGround): Promise<CachedFacts | undefined>;
}

export interface PlannedStage {
  /** How others refer to it. */
  index: number;
  /** Null where it has none. */
  name: string | null;
  title: string;
  from: Origin | { kind: 'scratch' };
  steps: readonly PlannedStep[];
}

/** All that a build does, whatever it was told by: stages, each after what it takes from, the target last. */
export interface BuildProgram {
  stages: readonly PlannedStage[];
  labels: Readonly<Record<string, string>>;
}

export interface KeyedStep extends PlannedStep {
  inputs: readonly StepInput[];
  /** Null where nobody can say what it, or a step before it, depends on. */
  key: string | null;
  /** Of the state that it begins from; null for the first step of a stage that begins from an image. */
  beforeKey: string | null;
}

export interface KeyedStage extends Omit<PlannedStage, 'steps'> {
  /** Of what it begins from, before its first step. */
  startKey: string | null;
  steps: readonly KeyedStep[];
}

export interface KeyGround {
  /** Bytes that root filesystems are grown to. */
  size: number | undefined;
  /** What tells an image's files from all others. */
  identityOf(ref: string): unknown;
  /** What an image that is made from nothing depends on. */
  scratch: unknown;
}

/** The key of the state that a stage ends with. */
export function lastKey({ startKey, steps }: KeyedStage): string | null {
  const last = steps.at(-1);
  return last === undefined ? startKey : last.key;
}

/**
 * The key of a finished root filesystem and its work seed; null where nobody can say what it depends on.
 * @param sshKey the public key that is seeded, a line; null for none
 * @param finish what else is done to them
 */
export function resultKey(
  target: KeyedStage,
  sshKey: string | null,
  finish: readonly StepInput[],
): string | null {
  const last = lastKey(target);
  return last === null ? null : stepKey(last, [stepInput('ssh', sshKey), ...finish]);
}

/** Gives every step its key: what it depends on itself, on the step before it, and on what it reads from others. */
export function keyProgram({ stages }: BuildProgram, ground: KeyGround): KeyedStage[] {
  const keyed = new Map<number, KeyedStage>();
  const keyOf = (origin: Origin): string | null => {
    if (origin.kind === 'image') return stepInput('image', ground.identityOf(origin.ref)).digest;
    const stage = keyed.get(origin.index);
    if (stage === undefined) throw new Error('a stage comes after what it takes from');
    return lastKey(stage);
  };
  for (const stage of stages) {
    const begins = startInputs(stage, ground);
    const startKey = stage.from.kind === 'stage' ? keyOf(stage.from) : stepKey(null, begins);
    let key = startKey;
    const steps = stage.steps.map((step, index): KeyedStep => {
      const isFirst = index === 0 && stage.from.kind !== 'stage';
      const beforeKey = isFirst ? null : key;
      const own = inputsOf(step, keyOf);
      const inputs = own && isFirst ? [...begins, ...own] : own;
      key = key === null || inputs === null ? null : stepKey(key, inputs);
      return { ...step, inputs: inputs ?? [], key, beforeKey };
    });
    keyed.set(stage.index, { ...stage, startKey, steps });
  }
  return [...keyed.values()];
}

function startInputs({ from }: PlannedStage, ground: KeyGround): StepInput[] {
  if (from.kind === 'stage') return [];
  const base = from.kind === 'scratch' ? ground.scratch : ground.identityOf(from.ref);
  return [stepInput('base', base), stepInput('size', ground.size ?? null)];
}

function inputsOf(
  { inputs, origins }: PlannedStep,
  keyOf: (origin: Origin) => string | null,
): StepInput[] | null {
  const read = origins.map((origin) => ({ name: describeOrigin(origin), digest: keyOf(origin) }));
  const known = read.filter((input): input is StepInput => input.digest !== null);
  return inputs === null || known.length < read.length ? null : [...inputs, ...known];
}

function describeOrigin(origin: Origin): string {
  return origin.kind === 'image' ? `image ${origin.ref}` : `stage ${origin.index}`;
}
