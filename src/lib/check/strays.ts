import { mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { asidePath, type Layout, TRASH } from '../layout.ts';
import { listImages } from '../store/images.ts';
import { runningOperations } from '../store/operations.ts';
import type { Store } from '../store/store.ts';
import { deleteTrash, listTrash, trashById } from '../store/trash.ts';
import { listVms } from '../store/vms.ts';
import { renameDurably, syncDirectory } from '../system/durable.ts';
import { isThere } from '../system/filesystem.ts';
import { oneLine, shellWord } from '../text.ts';
import { trashPlace } from '../trash-place.ts';
import { curable, type Diagnosis, note } from './finding.ts';

/** What a directory holds. Read before the registry: whatever was made by then is recorded there. */
export function entriesOf(directory: string): string[] {
  return isThere(directory) ? readdirSync(directory).sort() : [];
}

/**
 * Entries of `images/` or `vms/` that neither an image, nor a VM, nor an operation at work has. Nobody removes them but the
 * user.
 */
export function examineStrays(
  store: Store,
  layout: Layout,
  directory: string,
  entries: readonly string[],
): Diagnosis[] {
  const known = knownEntries(store);
  return entries
    .filter((name) => !known.has(name))
    .map((name) => ({ name, path: join(directory, name) }))
    .filter(({ path }) => isThere(path))
    .map(({ name, path }) =>
      curable(
        {
          problem: 'unknown_entry',
          path,
          detail: `${oneLine(path)} is in no record: no image and no VM has it, no operation made it`,
        },
        `move it to ${oneLine(layout.lostAndFound)}`,
        (ground) => {
          if (!isThere(path)) return true;
          return !knownEntries(ground.store).has(name) && keepAside(layout, path);
        },
      ),
    );
}

function knownEntries(store: Store): Set<string> {
  const known = new Set<string>([TRASH]);
  // A full disk may have kept one from being moved.
  for (const { image_id } of listTrash(store)) known.add(image_id);
  for (const { id, artifact_dir } of listImages(store)) {
    known.add(id);
    if (artifact_dir !== null) known.add(basename(artifact_dir));
  }
  for (const { id } of listVms(store)) known.add(id);
  for (const { id, stage_dir, artifact_dir } of runningOperations(store)) {
    for (const path of [stage_dir, artifact_dir]) {
      if (path === null) continue;
      known.add(basename(path));
      known.add(basename(asidePath(path, id)));
    }
  }
  return known;
}

/** Entries of the trash that no record has, and records whose files are gone. */
export function examineTrash(store: Store, layout: Layout, entries: readonly string[]): Diagnosis[] {
  const known = new Set([...listTrash(store).map(({ image_id }) => image_id), ...knownEntries(store)]);
  const strays = entries
    .filter((name) => !known.has(name) && isThere(join(layout.trashDir, name)))
    .map((name) => {
      const path = join(layout.trashDir, name);
      const detail = `${oneLine(path)} is in no record: nothing that was deleted has it`;
      return curable(
        { problem: 'unknown_entry', path, detail },
        `move it to ${oneLine(layout.lostAndFound)}`,
        (ground) =>
          !isThere(path) || (trashById(ground.store, name) === undefined && keepAside(layout, path)),
      );
    });
  const lost = listTrash(store)
    .filter(({ image_id }) => !isThere(trashPlace(layout, image_id)))
    .map(({ image_id, name }) =>
      curable(
        {
          problem: 'missing_file',
          image: name,
          path: trashPlace(layout, image_id),
          detail: `the files of a deleted image are gone: it cannot be had back`,
        },
        'forget that it was deleted',
        (ground) => !isThere(trashPlace(layout, image_id)) && deleteTrash(ground.store, image_id),
      ),
    );
  return [...strays, ...lost];
}

/** Moves what nobody can explain out of the way, under a name that is free, and throws nothing away. */
export function keepAside({ lostAndFound, stateDir }: Layout, path: string): boolean {
  if (!isThere(lostAndFound)) {
    mkdirSync(lostAndFound, { mode: 0o700 });
    syncDirectory(stateDir);
  }
  let target = join(lostAndFound, basename(path));
  for (let count = 1; isThere(target); count += 1) target = join(lostAndFound, `${basename(path)}.${count}`);
  renameDurably(path, target);
  return true;
}

/** What earlier repairs have put aside takes room until somebody has looked at it. */
export function examineLostAndFound({ lostAndFound }: Layout): Diagnosis[] {
  const entries = entriesOf(lostAndFound);
  if (entries.length === 0) return [];
  const detail = `${entries.length === 1 ? 'one thing' : `${entries.length} things`} wait to be looked at in ${oneLine(lostAndFound)}`;
  return [note({ problem: 'kept_aside', path: lostAndFound, detail }, `ls -l ${shellWord(lostAndFound)}`)];
}
