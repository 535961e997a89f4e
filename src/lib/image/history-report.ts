import { shortId } from '../id.ts';
import { formatTable } from '../table.ts';
import { formatAge, formatBytes, formatDuration } from '../text.ts';
import type { Generation } from './history.ts';

const HEADER = ['GENERATION', 'ID', 'CREATED', 'SIZE', 'OWN', 'TOOK', 'PACKAGES', 'RECIPE', 'BASE', 'MARKS'];

/** The table of `image history`. */
export function historyTable(generations: readonly Generation[]): string {
  const now = Date.now();
  return formatTable(
    HEADER,
    generations.map((image) => [
      String(image.generation),
      shortId(image.id),
      formatAge(image.created_at, now),
      image.allocated_bytes === null ? 'missing' : formatBytes(image.allocated_bytes),
      image.own_bytes === null ? '-' : formatBytes(image.own_bytes),
      image.duration_ms === null ? '-' : formatDuration(image.duration_ms),
      packagesOf(image),
      image.recipe_digest?.slice(0, 12) ?? '-',
      image.base_image_name ?? '-',
      marksOf(image) || '-',
    ]),
  );
}

/** How many were added, removed, and are of another version. */
function packagesOf({ package_changes: changes }: Generation): string {
  if (changes === null) return '-';
  const { added, removed, changed } = changes;
  if (added.length + removed.length + changed.length === 0) return 'same';
  return `+${added.length} -${removed.length} ~${changed.length}`;
}

function marksOf({ current, protected: isProtected, vms }: Generation): string {
  return [
    ...(current ? ['current'] : []),
    ...(isProtected ? ['protected'] : []),
    ...vms.map((name) => `vm ${name}`),
  ].join(', ');
}
