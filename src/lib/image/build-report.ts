import { shortId } from '../id.ts';
import type { Durations } from '../pipeline.ts';
import { formatAge } from '../text.ts';
import type { Built } from './build.ts';
import { type ImageJson, imageJson } from './listing.ts';

/** What a build prints with `--json`: the image, and what was done. */
export type BuiltJson = ImageJson & {
  outcome: Built['outcome'];
  operation_id: string | null;
  log_path: string | null;
  /** How long each stage took, in milliseconds. */
  stages: Durations;
};

export function builtJson({ outcome, image, operation }: Built): BuiltJson {
  return {
    ...imageJson(image),
    outcome,
    operation_id: operation?.id ?? null,
    log_path: operation?.logPath ?? null,
    stages: operation?.stages ?? {},
  };
}

/** The same for people, on one line. */
export function describeBuilt({ outcome, image }: Built): string {
  const what = `${image.name} (${shortId(image.id)})`;
  return outcome === 'built'
    ? `built ${what}: ${image.artifact_dir}`
    : `${what} is fresh: generation ${image.generation}, made ${formatAge(image.created_at)}`;
}
