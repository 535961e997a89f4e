import type { Context } from '../context/context.ts';
import { PreflightError } from '../errors.ts';
import { originsOf } from '../recipe/images.ts';
import type { Origin, Recipe, Stage, Step } from '../recipe/recipe.ts';
import { oneLine } from '../text.ts';
import { type AptUse, aptUse } from './apt-use.ts';
import type { PlannedStage, PlannedStep } from './build-program.ts';
import { asksForPackages } from './flag-steps.ts';
import { carryOutStep } from './recipe-step.ts';
import type { Secrets } from './secrets.ts';
import { inputsOfStep } from './step-inputs.ts';
import { digestOf, type StepInput, stepInput } from './step-key.ts';

/** What the steps of a recipe are carried out with, beside what a build has for all its steps. */
export interface RecipeGround {
  /** Null where there is none. */
  context: Context | null;
  secrets: Secrets;
  /** Where caches live between builds. */
  mountsDir: string;
  network: string;
}

/**
 * The stages of a recipe as a build carries them out.
 * @throws PreflightError for files of the context that are missing, or cannot be read
 */
export async function planRecipe(recipe: Recipe, ground: RecipeGround): Promise<PlannedStage[]> {
  const stages: PlannedStage[] = [];
  for (const stage of recipe.stages) stages.push(await planStage(stage, recipe, ground));
  return stages;
}

async function planStage(stage: Stage, recipe: Recipe, ground: RecipeGround): Promise<PlannedStage> {
  const { index, name, title, from } = stage;
  const steps: PlannedStep[] = [];
  for (const [number, step] of stage.steps.entries()) {
    const where = `[${name ?? index} ${number + 1}/${stage.steps.length}]`;
    steps.push(await planStep(step, where, recipe, ground));
  }
  return { index, name, title: oneLine(title), from, steps };
}

async function planStep(
  step: Step,
  where: string,
  { proxies }: Recipe,
  ground: RecipeGround,
): Promise<PlannedStep> {
  const { context, secrets, mountsDir, network } = ground;
  // Stages and images that it reads are told apart by their own keys.
  const read = (): Promise<StepInput[]> => inputsOfStep(step, { context, keyOf: () => '' });
  const inputs = await read();
  const title = oneLine(step.title);
  return {
    title,
    inputs: [...inputs, stepInput('network', network)],
    origins: originsOf(step).filter((origin): origin is Origin => origin.kind !== 'context'),
    installs: step.kind === 'run' && asksForPackages([step.argv, step.script]),
    ...(step.kind === 'run' ? { shell: { env: step.env, cwd: step.cwd } } : {}),
    apt: aptUseOf(step),
    async carryOut(around) {
      await carryOutStep(step, `${where} ${title}`, { ...around, context, secrets, mountsDir, proxies });
      if (digestOf(await read()) !== digestOf(inputs)) throw changed(title, step.line);
      return undefined;
    },
  };
}

function aptUseOf(step: Step): AptUse {
  if (step.kind !== 'run') return aptUse('nobody');
  const { argv, script, mounts } = step;
  const targets = mounts.flatMap(({ target }) => (target === null ? [] : [target]));
  return aptUse('runs', step.network === 'none' ? null : [argv, script], targets);
}

function changed(title: string, line: number): PreflightError {
  return new PreflightError(`${title} (line ${line})`, [
    {
      message: 'files of the context that it reads changed while the build ran',
      mend: 'stop whatever writes to them, then run the command again',
    },
  ]);
}
