import { filesOfCachedSteps } from '../cached-steps.ts';
import { listImages, vmNamesUsing } from '../store/images.ts';
import { reservationsOf } from '../store/reservations.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Readings, Workspace } from '../workspace.ts';
import { removeImages } from './delete.ts';
import { freedBytes } from './freed-bytes.ts';
import { generationsOf, isCurrent, nameOf } from './generation.ts';
import { type ImageJson, imageJson } from './listing.ts';

export interface PruneOptions {
  /** Whose generations; those of all names when there is none. */
  names: readonly string[];
  /** How many earlier generations of each name stay, the newest. */
  keep: number;
  /** Removes files at once, past the trash. */
  purge: boolean;
  /** Younger ones stay, too; milliseconds. */
  olderThanMs?: number | undefined;
}

/** What a prune would remove, or has removed. */
export interface Pruned {
  images: ImageJson[];
  /** In bytes; see freedBytes. */
  freed_bytes: number;
  /** Whether they can be had back, and take their space until then. */
  in_trash: boolean;
}

/**
 * The earlier generations that nothing needs: not current, not protected, of no VM and no operation.
 * @throws BangerError `not_found` for a name that there is not
 */
export async function planPrune({ store, config, layout }: Readings, options: PruneOptions): Promise<Pruned> {
  const in_trash = !options.purge && config.trashDays > 0;
  if (store === null) return { images: [], freed_bytes: 0, in_trash };
  const { doomed, kept } = store.snapshot(() => {
    const chosen = choose(store, options);
    const ids = new Set(chosen.map(({ id }) => id));
    return { doomed: chosen, kept: listImages(store).filter(({ id }) => !ids.has(id)) };
  });
  const managed = doomed.filter((image) => image.managed === 1);
  const otherFiles = filesOfCachedSteps(store, layout);
  return {
    images: doomed.map(imageJson),
    freed_bytes: await freedBytes(managed, kept, otherFiles),
    in_trash,
  };
}

/** Removes what was planned, but for what somebody has begun to need since. */
export async function prune(workspace: Workspace, options: PruneOptions, plan: Pruned): Promise<Pruned> {
  const planned = new Set(plan.images.map(({ id }) => id));
  const removed = await removeImages(workspace, { kind: 'prune', purge: options.purge }, () =>
    choose(workspace.store, options).filter(({ id }) => planned.has(id)),
  );
  return { ...plan, images: removed.map(imageJson) };
}

function choose(store: Store, { names, keep, olderThanMs = 0 }: PruneOptions): ImageRow[] {
  const wanted = names.length > 0 ? [...new Set(names)] : allNames(store);
  const before = new Date(Date.now() - olderThanMs).toISOString();
  return wanted.flatMap((name) =>
    generationsOf(store, name)
      .filter((image) => !isCurrent(image))
      .slice(keep)
      .filter((image) => image.created_at < before && !isNeeded(store, image)),
  );
}

function allNames(store: Store): string[] {
  return [...new Set(listImages(store).map(nameOf))];
}

function isNeeded(store: Store, image: ImageRow): boolean {
  return (
    image.protected === 1 ||
    vmNamesUsing(store, image.id).length > 0 ||
    reservationsOf(store, 'image', image.id).length > 0
  );
}
