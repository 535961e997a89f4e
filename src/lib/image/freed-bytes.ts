import { statSync } from 'node:fs';
import type { ImageRow } from '../store/schema.ts';
import { type Extent, extentsOf } from '../system/extents.ts';
import { footprintOf } from '../system/footprint.ts';
import { bootSetOf, isMissing, pathsOf } from './artifacts.ts';

/** Extents by the filesystem that they are on (st_dev). */
type ByFilesystem = Map<number, Extent[]>;

/**
 * What removing managed images would free, in bytes: what they share with one another counts once, what they share with
 * images that are kept not at all. With what else they may share extents nobody can say: files that were cloned by hand
 * from theirs count as if they were freed.
 */
export async function freedBytes(
  doomed: readonly ImageRow[],
  kept: readonly ImageRow[],
  signal?: AbortSignal,
): Promise<number> {
  const { bytes, extents } = await measure(doomed, signal);
  const shared = onlyShared(extents);
  const others = shared.size === 0 ? new Map() : onlyShared((await measure(kept, signal)).extents);
  let freed = bytes;
  for (const [filesystem, own] of extents) {
    freed += total(own.filter((extent) => !extent.shared));
    freed += lengthWithout(shared.get(filesystem) ?? [], others.get(filesystem) ?? []);
  }
  return freed;
}

/** Where the files of images lie; and in bytes what takes space nobody knows where. */
async function measure(
  images: readonly ImageRow[],
  signal?: AbortSignal,
): Promise<{ bytes: number; extents: ByFilesystem }> {
  let bytes = 0;
  const extents: ByFilesystem = new Map();
  for (const path of images.flatMap((image) => pathsOf(bootSetOf(image)))) {
    if (isMissing(path)) continue;
    const stats = statSync(path);
    const found = stats.isFile() ? await extentsOf(path, signal) : null;
    if (found === null) bytes += (await footprintOf(path)).bytes;
    else extents.set(stats.dev, [...(extents.get(stats.dev) ?? []), ...found]);
  }
  return { bytes, extents };
}

function onlyShared(extents: ByFilesystem): ByFilesystem {
  const shared = [...extents].map(
    ([filesystem, all]) => [filesystem, all.filter((extent) => extent.shared)] as const,
  );
  return new Map(shared.filter(([, all]) => all.length > 0));
}

function total(extents: readonly Pick<Extent, 'start' | 'end'>[]): number {
  return extents.reduce((sum, { start, end }) => sum + end - start, 0);
}

/** How much of some extents is in none of others. */
function lengthWithout(extents: readonly Extent[], others: readonly Extent[]): number {
  return total(merge([...extents, ...others])) - total(merge(others));
}

function merge(extents: readonly Extent[]): Pick<Extent, 'start' | 'end'>[] {
  const merged: { start: number; end: number }[] = [];
  for (const { start, end } of extents.toSorted((one, other) => one.start - other.start)) {
    const last = merged.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}
