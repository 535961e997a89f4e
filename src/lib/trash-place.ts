import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from './errors.ts';
import type { Layout } from './layout.ts';
import { renameDurably, syncDirectory } from './system/durable.ts';
import { isThere } from './system/filesystem.ts';

/** Where a deleted image's directory is. One that a full disk kept from being moved is where it was. */
export function trashPlace({ imagesDir, trashDir }: Layout, imageId: string): string {
  const moved = join(trashDir, imageId);
  const stayed = join(imagesDir, imageId);
  return !isThere(moved) && isThere(stayed) ? stayed : moved;
}

/** Moves the directory of an image whose row is in the trash there, if it is not there yet. Call under the lock. */
export function moveToTrash(layout: Layout, imageId: string): void {
  const place = trashPlace(layout, imageId);
  const target = join(layout.trashDir, imageId);
  if (place === target) return;
  try {
    makeTrash(layout);
    renameDurably(place, target);
  } catch (error) {
    // Even a rename may want a block. The image is as safe where it is.
    if (!['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '')) throw error;
  }
}

/** On the first use: most state directories never had anything in it. */
function makeTrash({ trashDir, imagesDir }: Layout): void {
  try {
    mkdirSync(trashDir, { mode: 0o700 });
    syncDirectory(imagesDir);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}
