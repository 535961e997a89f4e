import { join } from 'node:path';
import { stepPlace } from '../cached-steps.ts';
import { BangerError } from '../errors.ts';
import { shortId } from '../id.ts';
import { stampOf } from '../image/step-stamp.ts';
import { ARTIFACT_FILES, type Layout } from '../layout.ts';
import { cachedStepById, everyCachedStep, settleCachedStep } from '../store/cached-steps.ts';
import type { CachedStepRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { checkExt4 } from '../system/ext4.ts';
import { isThere } from '../system/filesystem.ts';
import { oneLine } from '../text.ts';
import { curable, type Diagnosis } from './finding.ts';
import { keepAside } from './strays.ts';

export interface StepCheckOptions {
  /** Whether to look into the filesystems. */
  deep: boolean;
  signal?: AbortSignal;
}

/** Steps of builds that are kept, against their records; nothing that is wrong with them does an image any harm. */
export async function examineCachedSteps(
  store: Store,
  layout: Layout,
  entries: readonly string[],
  options: StepCheckOptions,
): Promise<Diagnosis[]> {
  const rows = everyCachedStep(store);
  const known = new Set(rows.map(({ id }) => id));
  const found: Diagnosis[] = [];
  for (const name of entries) {
    const path = join(layout.stepsDir, name);
    if (!known.has(name) && isThere(path)) found.push(stray(layout, name, path));
  }
  for (const row of rows) {
    if (row.state !== 'kept') continue;
    options.signal?.throwIfAborted();
    const fault = await faultOf(layout, row, options);
    if (fault !== null) found.push(broken(layout, row, fault));
  }
  return found;
}

function stray(layout: Layout, name: string, path: string): Diagnosis {
  const detail = `${oneLine(path)} is in no record: no step of a build has it`;
  return curable(
    { problem: 'unknown_entry', path, detail },
    `move it to ${oneLine(layout.lostAndFound)}`,
    (ground) => {
      return !isThere(path) || (cachedStepById(ground.store, name) === undefined && keepAside(layout, path));
    },
  );
}

async function faultOf(
  layout: Layout,
  { id, kind, stamp }: CachedStepRow,
  { deep, signal }: StepCheckOptions,
): Promise<string | null> {
  const directory = stepPlace(layout, id);
  const rootfs = join(directory, ARTIFACT_FILES.rootfs);
  const workSeed = join(directory, ARTIFACT_FILES.workSeed);
  const now = stampOf({ rootfs, workSeed }, kind);
  if (now === '') return 'its files are gone';
  if (now !== stamp) return 'its files were written to';
  if (!deep) return null;
  try {
    for (const file of kind === 'result' ? [rootfs, workSeed] : [rootfs]) {
      await checkExt4(file, signal ? { signal } : {});
    }
    return null;
  } catch (error) {
    if (error instanceof BangerError && error.code === 'corrupt') return error.message;
    throw error;
  }
}

/** The next lock that is taken removes what is going and whose run is over. */
function broken(layout: Layout, { id, title }: CachedStepRow, fault: string): Diagnosis {
  const detail = `what is kept of '${oneLine(title)}' (${shortId(id)}) is of no use: ${oneLine(fault)}`;
  return curable(
    { problem: 'unusable_step', path: stepPlace(layout, id), detail },
    'forget that step, which the next build that needs it does again',
    ({ store }) => settleCachedStep(store, id, 'going', ''),
  );
}
