import { shortId } from '../id.ts';
import { formatTable } from '../table.ts';
import { formatAge, formatBytes } from '../text.ts';
import type { Emptied, Trashed } from './trash.ts';

/** The table of `trash list`. */
export function trashTable(images: readonly Trashed[]): string {
  const now = Date.now();
  return formatTable(
    ['NAME', 'ID', 'DELETED', 'KEPT FOR'],
    images.map(({ name, id, deleted_at, expires_at }) => [
      name,
      shortId(id),
      formatAge(deleted_at, now),
      daysLeft(Date.parse(expires_at) - now),
    ]),
  );
}

function daysLeft(milliseconds: number): string {
  const days = Math.max(0, Math.ceil(milliseconds / 86_400_000));
  return days === 1 ? '1 day' : `${days} days`;
}

/** What `trash empty` prints: a line for each image, and what they free together. */
export function emptyReport({ images, freed_bytes }: Emptied, verb: string): string {
  if (images.length === 0) return 'the trash is empty\n';
  const lines = images.map(({ name, id }) => `${verb} ${name} (${shortId(id)})`);
  return [...lines, `${formatBytes(freed_bytes)} in all`].map((line) => `${line}\n`).join('');
}
