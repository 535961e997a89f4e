import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { type ArtifactKind, bootSetOf } from '../image/artifacts.ts';
import { artifactFault } from '../image/requirements.ts';
import type { Layout } from '../layout.ts';
import { imageById, updateImage } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import { ext4Fault } from '../system/ext4.ts';
import { isMissing, isThere } from '../system/filesystem.ts';
import { oneLine, shellWord } from '../text.ts';
import { curable, type Diagnosis, type Ground, incurable } from './finding.ts';

export interface ImageCheck {
  /** Reads the filesystems whole, not their superblocks alone. */
  deep: boolean;
  signal?: AbortSignal;
}

/** An image's row and the files that it names. */
export async function examineImage(
  ground: Ground,
  image: ImageRow,
  { deep, signal }: ImageCheck,
): Promise<Diagnosis[]> {
  const moved = image.managed ? examinePlace(ground.layout, image) : null;
  if (moved !== null) return [moved];
  const found: Diagnosis[] = [];
  for (const [kind, path] of Object.entries(bootSetOf(image)) as [ArtifactKind, string | null][]) {
    if (path === null) continue;
    const diagnosis =
      (await examineFile(image, kind, path)) ??
      (deep && isDisk(kind) ? await examineFilesystem(image, path, signal) : null);
    if (diagnosis !== null) found.push(diagnosis);
  }
  // One that was deleted, renamed or promoted while it was looked at is not broken.
  return found.length === 0 || isUnchanged(ground.store, image) ? found : [];
}

function isUnchanged(store: Store, image: ImageRow): boolean {
  const now = imageById(store, image.id);
  return now?.updated_at === image.updated_at && now.rootfs_path === image.rootfs_path;
}

const isDisk = (kind: ArtifactKind): boolean => kind === 'rootfs' || kind === 'workSeed';

/** A state directory that was moved, or copied, has rows that name the old place. */
function examinePlace({ imagesDir }: Layout, image: ImageRow): Diagnosis | null {
  const here = join(imagesDir, image.id);
  const recorded = image.artifact_dir;
  if (recorded === here || recorded === null) return null;
  const told = {
    problem: 'moved_image',
    image: image.name,
    path: recorded,
    detail: `its files are recorded in ${oneLine(recorded)}, not in this state directory`,
  } as const;
  const replaced = replacePlace(image, recorded, here);
  if (isMissing(replaced.rootfs_path) || isMissing(replaced.kernel_path)) {
    return incurable(told, `banger image delete ${image.name}`);
  }
  return curable(told, `record them where they are: ${oneLine(here)}`, ({ store }) => {
    const now = imageById(store, image.id);
    return now?.artifact_dir === recorded && updateImage(store, replacePlace(now, recorded, here));
  });
}

function replacePlace(image: ImageRow, from: string, to: string): ImageRow {
  const moved = (path: string): string =>
    path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : path;
  const movedIfAny = (path: string | null): string | null => (path === null ? null : moved(path));
  return {
    ...image,
    artifact_dir: to,
    rootfs_path: moved(image.rootfs_path),
    kernel_path: moved(image.kernel_path),
    initrd_path: movedIfAny(image.initrd_path),
    modules_dir: movedIfAny(image.modules_dir),
    work_seed_path: movedIfAny(image.work_seed_path),
  };
}

async function examineFile(image: ImageRow, kind: ArtifactKind, path: string): Promise<Diagnosis | null> {
  const about = { image: image.name, path };
  // What is managed is ours alone; what a link leads to is not.
  if (image.managed && isThere(path) && lstatSync(path).isSymbolicLink()) {
    return incurable(
      { ...about, problem: 'unusable_file', detail: `${oneLine(path)} is a link` },
      mendOf(image),
    );
  }
  const fault = await artifactFault(kind, path);
  if (fault === null) return null;
  const problem = isMissing(path) ? 'missing_file' : 'unusable_file';
  return incurable({ ...about, problem, detail: fault }, mendOf(image));
}

/** Built again it is whole; a registered one is looked for, or let go of. */
function mendOf({ name, managed }: ImageRow): string {
  return managed
    ? `banger image delete ${name}`
    : `banger image register ${name} --rootfs FILE --kernel FILE`;
}

async function examineFilesystem(
  image: ImageRow,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Diagnosis | null> {
  const detail = await ext4Fault(path, signal === undefined ? {} : { signal });
  if (detail === null) return null;
  return incurable(
    { problem: 'damaged_filesystem', image: image.name, path, detail },
    `e2fsck -f ${shellWord(path)}`,
  );
}
