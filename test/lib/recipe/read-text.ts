import { BangerError } from '../../../src/lib/errors.ts';
import { type RecipeSource, readRecipe } from '../../../src/lib/recipe/read.ts';
import type { CopyStep, Recipe, RunStep, Step } from '../../../src/lib/recipe/recipe.ts';

type Given = Omit<RecipeSource, 'path' | 'text' | 'buildArgs'> & { buildArgs?: Record<string, string> };

export function readText(text: string, { buildArgs = {}, ...given }: Given = {}): Recipe {
  return readRecipe({ path: 'Containerfile', text, buildArgs: new Map(Object.entries(buildArgs)), ...given });
}

/** The steps of all stages that are built. */
export function stepsOf(text: string, given?: Given): Step[] {
  return readText(text, given).stages.flatMap(({ steps }) => steps);
}

/** The last RUN. */
export function runOf(text: string, given?: Given): RunStep {
  const step = stepsOf(text, given).findLast((one): one is RunStep => one.kind === 'run');
  if (!step) throw new Error('no RUN in it');
  return step;
}

/** The last COPY or ADD. */
export function copyOf(text: string, given?: Given): CopyStep {
  const step = stepsOf(text, given).findLast((one): one is CopyStep => one.kind === 'copy');
  if (!step) throw new Error('no COPY in it');
  return step;
}

/** The environment at the end of `lines`, which follow `FROM x`. */
export function envAfter(lines: string, given?: Given): Record<string, string> {
  return runOf(`FROM x\n${lines}\nRUN env`, given).env;
}

/** Message and hints of the refusal. */
export function refusalOf(text: string, given?: Given): string {
  try {
    readText(text, given);
  } catch (error) {
    if (error instanceof BangerError && error.code === 'usage') {
      return [error.message, ...error.hints].join('\n');
    }
    throw error;
  }
  throw new Error('it was not refused');
}
