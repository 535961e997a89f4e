import { shortId } from '../id.ts';
import type { Durations } from '../pipeline.ts';
import { formatTable } from '../table.ts';
import { formatAge, formatBytes, formatDuration, oneLine } from '../text.ts';
import type { Built } from './build.ts';
import type { Forecast } from './build-forecast.ts';
import { type ImageJson, imageJson } from './listing.ts';

/** How much of a step is shown, in characters. */
const TITLE_WIDTH = 60;

/** What a build prints with `--json`: the image, and what was done. */
export type BuiltJson = ImageJson & {
  outcome: Built['outcome'];
  operation_id: string | null;
  log_path: string | null;
  /** How long each stage took, in milliseconds. */
  stages: Durations;
  /** What became of each step: taken from an earlier build, or done in so many milliseconds. */
  steps: { stage: string; title: string; cached: boolean; reason: string | null; duration_ms: number }[];
};

export function builtJson({ outcome, image, operation }: Built): BuiltJson {
  return {
    ...imageJson(image),
    outcome,
    operation_id: operation?.id ?? null,
    log_path: operation?.logPath ?? null,
    stages: operation?.stages ?? {},
    steps: (operation?.steps ?? []).map(({ stage, title, cached, reason = null, durationMs }) => ({
      stage,
      title,
      cached,
      reason,
      duration_ms: Math.round(durationMs),
    })),
  };
}

/** The same for people, on one line. */
export function describeBuilt({ outcome, image }: Built): string {
  const what = `${image.name} (${shortId(image.id)})`;
  return outcome === 'built'
    ? `built ${what}: ${image.artifact_dir}`
    : `${what} is fresh: generation ${image.generation}, made ${formatAge(image.created_at)}`;
}

/** What became of each step, for people: a line each. */
export function explainSteps({ operation }: Built): string {
  const rows = (operation?.steps ?? []).map(({ stage, title, cached, reason = '', durationMs }) => [
    stage,
    cached ? 'kept' : 'done',
    cached ? '' : formatDuration(durationMs),
    oneLine(title).slice(0, TITLE_WIDTH),
    cached ? '' : reason,
  ]);
  return formatTable(['STAGE', '', 'TOOK', 'STEP', 'WHY'], rows);
}

/** What `build --dry-run` prints: a line for each step, and how large the image would be. */
export function forecastReport({ steps, fresh, name, size_bytes, allocated_bytes }: Forecast): string {
  if (fresh) return `${name ?? ''} is fresh: nothing would be done\n`;
  const rows = steps.map(({ stage, title, cached, reason, bytes }) => [
    stage,
    cached ? 'kept' : 'do',
    bytes === null ? '' : formatBytes(bytes),
    oneLine(title).slice(0, TITLE_WIDTH),
    reason ?? '',
  ]);
  const size = size_bytes === null ? 'as large as busybox takes' : formatBytes(size_bytes);
  const least =
    allocated_bytes === null
      ? ''
      : `, ${formatBytes(allocated_bytes)} of it on the disk before what is to be done`;
  return `${formatTable(['STAGE', '', 'SIZE', 'STEP', 'WHY'], rows)}root filesystem: ${size}${least}\n`;
}
