import type { BuildLog } from '../build-log.ts';
import type { Context } from '../context/context.ts';
import { BangerError, PreflightError } from '../errors.ts';
import type { Origin, Step } from '../recipe/recipe.ts';
import { oneLine } from '../text.ts';
import type { Provisioning } from './provision.ts';
import type { Secrets } from './secrets.ts';

/** What the steps of a recipe are carried out with. */
export interface StepSurroundings extends Provisioning {
  /** Null where the build was given none. */
  context: Context | null;
  /** A finished stage's or image's root filesystem: a clean ext4 file that is not mounted, and is not written to. */
  rootfsOf(origin: Origin): Promise<string>;
  secrets: Secrets;
  /** In the environment of each RUN, below its own. */
  proxies: Readonly<Record<string, string>>;
  /** Where caches live between builds. */
  mountsDir: string;
  /** An existing directory of this build, for what a step needs as long as it runs. */
  scratchDir: string;
  signal: AbortSignal;
}

/** A step as errors name it. */
export function nameStep(step: Step, title: string): string {
  return `${oneLine(title)} (line ${step.line})`;
}

/**
 * Does what a step needs done; what is wrong with the recipe, or with what it takes from, is told with the step.
 * @throws what `work` throws
 */
export async function inStep<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof BangerError) || error.message.startsWith(where)) throw error;
    if (error instanceof PreflightError) {
      // What the machine lacks is no matter of the recipe.
      throw error.summary.startsWith('build context:') ? new PreflightError(where, error.faults) : error;
    }
    if (error.code !== 'usage' && error.code !== 'preflight_failed') throw error;
    const { hints, details } = error;
    throw new BangerError(error.code, `${where}: ${error.message}`, { hints, details, cause: error });
  }
}

export function noContext(where: string): PreflightError {
  return new PreflightError(where, [
    {
      message: 'it takes files from a build context, and the build has none',
      mend: 'give the build a directory',
    },
  ]);
}

/** How many names a note has. */
const NAMED = 5;

/** Tells the log of what could not be taken along. */
export function noteLeft(what: string, paths: readonly string[], log: Pick<BuildLog, 'write'>): void {
  if (paths.length === 0) return;
  const more = paths.length > NAMED ? ` and ${paths.length - NAMED} more` : '';
  log.write(oneLine(`note: ${what}: ${paths.slice(0, NAMED).join(' ')}${more}`));
}
