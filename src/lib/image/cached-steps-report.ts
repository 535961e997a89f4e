import { shortId } from '../id.ts';
import { formatTable } from '../table.ts';
import { formatAge, formatBytes, oneLine } from '../text.ts';
import type { CachedMountJson } from './cache-mounts.ts';
import type { CachedStepJson, CacheListing, CachePruned, ShownStep } from './cached-steps.ts';

/** How much of a step is shown, in characters. */
const TITLE_WIDTH = 60;

/** The tables of `cache list`, and below each what all take together. */
export function cacheTable(listing: CacheListing): string {
  const { steps, mounts, total_bytes, mounts_bytes, limit_bytes } = listing;
  const total = `${formatBytes(total_bytes)} of ${formatBytes(limit_bytes)}`;
  const ofSteps = `${stepTable(steps)}${steps.length === 0 ? '' : `${total}\n`}`;
  if (mounts.length === 0) return ofSteps;
  const ofMounts = `${mountTable(mounts)}${formatBytes(mounts_bytes)} beside the limit\n`;
  return steps.length === 0 ? ofMounts : `${ofSteps}\n${ofMounts}`;
}

function mountTable(mounts: readonly CachedMountJson[]): string {
  return formatTable(
    ['ID', 'SIZE', 'USED', 'MOUNT'],
    mounts.map(({ id, bytes, used_at, in_use, title }) => [
      shortId(id),
      formatBytes(bytes),
      in_use ? 'just now' : formatAge(used_at),
      oneLine(title).slice(0, TITLE_WIDTH),
    ]),
  );
}

function stepTable(steps: readonly CachedStepJson[]): string {
  return formatTable(
    ['ID', 'SIZE', 'MADE', 'USED', 'STEP'],
    steps.map(({ id, bytes, created_at, used_at, kind, title }) => [
      shortId(id),
      formatBytes(bytes),
      formatAge(created_at),
      formatAge(used_at),
      `${oneLine(title).slice(0, TITLE_WIDTH)}${kind === 'result' ? ' (finished)' : ''}`,
    ]),
  );
}

/** What `cache show` prints. */
export function shownStepReport(step: ShownStep): string {
  const { id, key, kind, title, bytes, in_use, created_at, used_at, inputs, before } = step;
  const fields = [
    ['id', id],
    ['step', oneLine(title)],
    [
      'holds',
      kind === 'result' ? 'a finished root filesystem and its work seed' : 'the root filesystem after it',
    ],
    ['size', `${formatBytes(bytes)} beside what it shares`],
    ['made', formatAge(created_at)],
    ['used', `${formatAge(used_at)}${in_use ? ', and just now' : ''}`],
    ['key', key],
    ...inputs.map(({ name, digest }) => [oneLine(name), digest]),
  ];
  const width = Math.max(...fields.map(([name = '']) => name.length));
  const lines = fields.map(([name = '', value = '']) => `${name.padEnd(width)}  ${value}\n`).join('');
  return before.length === 0 ? lines : `${lines}\nafter:\n${stepTable(before)}`;
}

/** What `cache prune` prints: a line for each step and mount, and what they free together. */
export function cachePruneReport(
  { steps, mounts, freed_bytes, left_bytes }: CachePruned,
  verb: string,
): string {
  if (steps.length + mounts.length === 0) return `nothing to remove; ${formatBytes(left_bytes)} are kept\n`;
  const lines = [...steps, ...mounts].map(
    ({ id, title }) => `${verb} ${shortId(id)}  ${oneLine(title).slice(0, TITLE_WIDTH)}`,
  );
  const sum = `${formatBytes(freed_bytes)} in all, ${formatBytes(left_bytes)} left`;
  return [...lines, sum].map((line) => `${line}\n`).join('');
}
