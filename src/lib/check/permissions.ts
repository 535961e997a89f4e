import { chmodSync, lstatSync } from 'node:fs';
import type { Layout } from '../layout.ts';
import type { ImageRow } from '../store/schema.ts';
import { isThere } from '../system/filesystem.ts';
import { oneLine, shellWord } from '../text.ts';
import { curable, type Diagnosis, incurable } from './finding.ts';

/** What others may read of a directory, they may read of the images in it. */
const OTHERS = 0o077;

/** Directories of the state, and those of managed images, are their owner's and closed to others. */
export function examinePermissions(layout: Layout, images: readonly ImageRow[]): Diagnosis[] {
  const { stateDir, imagesDir, stepsDir, mountsDir, liveDir, logDir, vmsDir } = layout;
  const own = [stateDir, imagesDir, stepsDir, mountsDir, liveDir, logDir, vmsDir].map((path) => ({
    path,
    image: null,
  }));
  const managed = images.flatMap(({ name, artifact_dir }) =>
    artifact_dir === null ? [] : [{ path: artifact_dir, image: name }],
  );
  return [...own, ...managed].filter(({ path }) => isThere(path)).flatMap(examineDirectory);
}

function examineDirectory({ path, image }: { path: string; image: string | null }): Diagnosis[] {
  const { mode, uid } = lstatSync(path);
  const us = process.geteuid?.() ?? 0;
  if (uid !== us) {
    const detail = `${oneLine(path)} belongs to uid ${uid}, not to uid ${us}`;
    const mend = `${us === 0 ? '' : 'sudo '}chown -R ${us} ${shellWord(path)}`;
    return [incurable({ problem: 'wrong_owner', image, path, detail }, mend)];
  }
  if ((mode & OTHERS) === 0) return [];
  const detail = `${oneLine(path)} is open to others (mode ${(mode & 0o777).toString(8)})`;
  return [
    curable({ problem: 'open_to_others', image, path, detail }, 'close it to others (mode 700)', () => {
      chmodSync(path, 0o700);
      return true;
    }),
  ];
}
