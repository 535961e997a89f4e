import { shortId } from '../id.ts';
import { formatAge, formatBytes } from '../text.ts';
import type { Pruned } from './prune.ts';

/** What `image prune` prints: a line for each image, and what they free together, now or once the trash is emptied. */
export function pruneReport({ images, freed_bytes, in_trash }: Pruned, verb: string): string {
  if (images.length === 0) return 'nothing to prune\n';
  const lines = images.map(
    ({ name, id, created_at }) => `${verb} ${name} (${shortId(id)}, ${formatAge(created_at)})`,
  );
  return [
    ...lines,
    `${formatBytes(freed_bytes)} in all${in_trash ? ', freed when the trash is: banger trash empty' : ''}`,
  ]
    .map((line) => `${line}\n`)
    .join('');
}
