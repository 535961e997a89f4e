import { join } from 'node:path';
import { ARTIFACT_FILES, type Layout } from './layout.ts';
import { removeDirectory } from './recovery.ts';
import { claimUnsettledSteps, deleteCachedStep, listCachedSteps } from './store/cached-steps.ts';
import type { Run } from './store/liveness.ts';
import type { Store } from './store/store.ts';
import { isThere } from './system/filesystem.ts';

/** Where the files of a cached step are. */
export function stepPlace({ stepsDir }: Pick<Layout, 'stepsDir'>, id: string): string {
  return join(stepsDir, id);
}

/** The files of all that is kept; those of results may be missing. */
export function filesOfCachedSteps(store: Store, layout: Layout): string[] {
  return listCachedSteps(store).flatMap(({ id }) => {
    const directory = stepPlace(layout, id);
    return [join(directory, ARTIFACT_FILES.rootfs), join(directory, ARTIFACT_FILES.workSeed)];
  });
}

/** Claims what dead runs were about to keep or to remove. Call while holding the lock, then `removeCachedSteps` outside. */
export function claimSteps({ store, layout, run }: { store: Store; layout: Layout; run: Run }): string[] {
  return claimUnsettledSteps(store, layout.liveDir, run.row.id);
}

/** Removes the files of steps that are marked as going, and then their rows. */
export async function removeCachedSteps(
  { store, layout }: { store: Store; layout: Layout },
  ids: readonly string[],
): Promise<void> {
  for (const id of ids) {
    const place = stepPlace(layout, id);
    if (isThere(place)) await removeDirectory(place);
    store.write(() => deleteCachedStep(store, id));
  }
}
