import type { ImageRow } from '../store/schema.ts';
import { type Extent, extentsOf, lengthOf, lengthWithout } from '../system/extents.ts';
import { statIfPossible } from '../system/filesystem.ts';
import { footprintOf } from '../system/footprint.ts';
import { bootSetOf, isMissing, pathsOf } from './artifacts.ts';

/**
 * What removing managed images would free, in bytes: what they share with one another counts once, what they share with
 * images that are kept, or with other files, not at all. With what else they may share extents nobody can say: files that
 * were cloned by hand from theirs count as if they were freed.
 */
export async function freedBytes(
  doomed: readonly ImageRow[],
  kept: readonly ImageRow[],
  otherFiles: readonly string[],
): Promise<number> {
  return new FileExtents().bytesWithout(doomed.flatMap(filesOf), [...kept.flatMap(filesOf), ...otherFiles]);
}

/** What the disks of each image have that no other one's have, in bytes; kept steps of builds are no images. */
export async function ownBytes(
  images: readonly ImageRow[],
  all: readonly ImageRow[],
): Promise<Map<string, number>> {
  const extents = new FileExtents();
  const own = new Map<string, number>();
  for (const image of images) {
    const others = all.filter(({ id }) => id !== image.id);
    own.set(image.id, await extents.bytesWithout(disksOf(image), others.flatMap(disksOf)));
  }
  return own;
}

function filesOf(image: ImageRow): string[] {
  return pathsOf(bootSetOf(image));
}

function disksOf({ rootfs_path, work_seed_path }: ImageRow): string[] {
  return work_seed_path === null ? [rootfs_path] : [rootfs_path, work_seed_path];
}

/** Where a file lies; or how many bytes it takes, nobody knows where. */
type Lie = { filesystem: number; extents: readonly Extent[] } | { bytes: number };

/** Where files lie, each looked at once. */
class FileExtents {
  readonly #known = new Map<string, Promise<Lie>>();

  /** What some files take that they do not share with others, in bytes. */
  async bytesWithout(files: readonly string[], others: readonly string[]): Promise<number> {
    const own = await this.#lies(files);
    const shared = sharedByFilesystem(own);
    const elsewhere = shared.size === 0 ? shared : sharedByFilesystem(await this.#lies(others));
    let bytes = 0;
    for (const lie of own) {
      bytes += 'bytes' in lie ? lie.bytes : lengthOf(lie.extents.filter((extent) => !extent.shared));
    }
    for (const [filesystem, extents] of shared) {
      bytes += lengthWithout(extents, elsewhere.get(filesystem) ?? []);
    }
    return bytes;
  }

  async #lies(paths: readonly string[]): Promise<Lie[]> {
    const lies: Lie[] = [];
    for (const path of paths) {
      if (isMissing(path)) continue;
      const lie = this.#known.get(path) ?? lieOf(path);
      this.#known.set(path, lie);
      lies.push(await lie);
    }
    return lies;
  }
}

async function lieOf(path: string): Promise<Lie> {
  const stats = statIfPossible(path);
  if (stats === null) return { bytes: 0 };
  const found = stats.isFile() ? await extentsOf(path) : null;
  if (found === null) return { bytes: (await footprintOf(path)).bytes };
  // A file that has another name shares all that it has with it, whatever the filesystem says of its extents.
  const extents = stats.nlink > 1n ? found.map((extent) => ({ ...extent, shared: true })) : found;
  return { filesystem: Number(stats.dev), extents };
}

function sharedByFilesystem(lies: readonly Lie[]): Map<number, Extent[]> {
  const shared = new Map<number, Extent[]>();
  for (const lie of lies) {
    if ('bytes' in lie) continue;
    const extents = lie.extents.filter((extent) => extent.shared);
    if (extents.length > 0) shared.set(lie.filesystem, [...(shared.get(lie.filesystem) ?? []), ...extents]);
  }
  return shared;
}
