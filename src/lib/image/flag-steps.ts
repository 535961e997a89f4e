import { basename } from 'node:path';
import { PreflightError } from '../errors.ts';
import { oneLine } from '../text.ts';
import { type AptUse, aptUse } from './apt-use.ts';
import type { PlannedStep, StepGround } from './build-program.ts';
import { type ActingStep, type BuildStep, describeStep, mergePackages } from './build-step.ts';
import { type DigestGround, digestPath } from './digest-path.ts';
import { installModules } from './modules.ts';
import { DEVELOPMENT_PACKAGES } from './packages.ts';
import { choosePreset, type Preset } from './preset.ts';
import { carryOutStep } from './provision.ts';
import { digestOf, type StepInput, stepInput } from './step-key.ts';

/** What is done to a target beside its steps, before them. */
export interface Preparation {
  /** The modules to put into the root filesystem, and what they depend on; null where there are none. */
  modules: { directory: string; identity: unknown } | null;
  preset?: Preset | undefined;
  docker: boolean;
  steps: readonly BuildStep[];
}

/** What the preparation found out. */
export interface PresetFacts {
  preset: Preset;
  presetPackages: readonly string[];
}

/** What comes before the first step that a user gave. */
export function preparationSteps({ modules, preset, docker, steps }: Preparation): PlannedStep[] {
  const needsPackages = docker || steps.some((step) => step.kind === 'packages');
  return [
    ...(modules === null ? [] : [modulesStep(modules)]),
    ...(preset === 'none' && !needsPackages ? [] : [presetStep(preset, needsPackages)]),
  ];
}

function modulesStep({ directory, identity }: { directory: string; identity: unknown }): PlannedStep {
  return {
    title: 'kernel modules',
    inputs: identity === null ? null : [stepInput('modules', identity)],
    origins: [],
    isPreparation: true,
    installs: false,
    apt: aptUse('nobody'),
    async carryOut(ground) {
      const versions = await installModules(directory, ground.kernelVersion, ground);
      if (versions.length > 0) return undefined;
      const lost = `${directory} holds no modules of a known kernel version: none are in the rootfs`;
      ground.log.write(lost);
      ground.note(lost);
      return undefined;
    },
  };
}

function presetStep(preset: Preset | undefined, needsPackages: boolean): PlannedStep {
  return {
    title: 'preset packages',
    inputs: [stepInput('preset', [preset ?? null, needsPackages, DEVELOPMENT_PACKAGES])],
    origins: [],
    isPreparation: true,
    installs: true,
    apt: aptUse('installs'),
    async carryOut(ground) {
      const chosen = await choosePreset({ preset, needsPackages }, ground);
      for (const step of chosen.steps) await carryOutStep(`preset: ${describeStep(step)}`, step, {}, ground);
      return { preset: chosen.preset, presetPackages: chosen.packages } satisfies PresetFacts;
    },
  };
}

/**
 * The steps of a command line as a build carries them out, each with the variables set before it.
 * @throws CancelledError
 */
export async function planFlagSteps(
  { steps, docker, network }: Pick<Preparation, 'steps' | 'docker'> & { network: string },
  ground: DigestGround,
): Promise<PlannedStep[]> {
  const all = mergePackages([...(docker ? [{ kind: 'docker' } as const] : []), ...steps]);
  const planned: PlannedStep[] = [];
  const env: Record<string, string> = {};
  const count = all.filter(({ kind }) => kind !== 'env').length;
  for (const step of all) {
    if (step.kind === 'env') env[step.name] = step.value;
    else {
      const variables = Object.entries(env).map(([name, value]) => stepInput(`env ${name}`, value));
      const number = `step ${planned.length + 1}/${count}`;
      const around = { env: { ...env }, number, inputs: [stepInput('network', network), ...variables] };
      planned.push(await planStep(step, around, ground));
    }
  }
  return planned;
}

async function planStep(
  step: ActingStep,
  { env, number, inputs }: { env: Readonly<Record<string, string>>; number: string; inputs: StepInput[] },
  digests: DigestGround,
): Promise<PlannedStep> {
  const title = describeStep(step);
  const files = await digestSource(step, digests);
  return {
    title,
    inputs: files === null ? null : [stepInput('step', instructionOf(step)), ...inputs, ...files],
    origins: [],
    shell: { env, cwd: '/' },
    installs: step.kind === 'packages' || step.kind === 'docker' || asksForPackages(instructionOf(step)),
    apt: aptUseOf(step),
    async carryOut(ground: StepGround) {
      await carryOutStep(`${number}: ${title}`, step, env, ground);
      if (files !== null && digestOf(await digestSource(step, digests)) !== digestOf(files))
        throw changed(step);
      return undefined;
    },
  };
}

/** What a step says itself, without where its files are on this machine. */
function instructionOf(step: ActingStep): unknown {
  switch (step.kind) {
    case 'script':
      return [step.kind];
    case 'copy':
      // Into a directory that is there a file goes under its own name.
      return [step.kind, basename(step.source), step.target];
    case 'packages':
    case 'run':
    case 'docker':
      return step;
  }
}

/** The digest of what a step reads on this machine; null where it cannot be read whole, which the step will tell, or do without. */
async function digestSource(step: ActingStep, ground: DigestGround): Promise<StepInput[] | null> {
  if (step.kind !== 'script' && step.kind !== 'copy') return [];
  const path = step.kind === 'script' ? step.path : step.source;
  const digest = await digestPath(path, ground);
  return digest === null ? null : [{ name: step.kind === 'script' ? 'script' : 'files', digest }];
}

function changed(step: ActingStep): PreflightError {
  const path = step.kind === 'script' ? step.path : step.kind === 'copy' ? step.source : '';
  return new PreflightError('image build', [
    {
      message: `${oneLine(path)} changed while the build read it`,
      mend: 'stop whatever writes to it, then run the command again',
    },
  ]);
}

function aptUseOf(step: ActingStep): AptUse {
  switch (step.kind) {
    case 'packages':
    case 'docker':
      return aptUse('installs');
    case 'run':
    case 'script':
      return aptUse('runs', instructionOf(step));
    case 'copy':
      return aptUse('nobody');
  }
}

const PACKAGE_MANAGERS = /\b(?:apt|apt-get|aptitude|apk|dnf|microdnf|yum|zypper|pacman)\b/u;

/** Whether a command may install packages. */
export function asksForPackages(instruction: unknown): boolean {
  return PACKAGE_MANAGERS.test(JSON.stringify(instruction));
}
