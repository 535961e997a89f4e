import { BangerError } from '../errors.ts';
import { assertNameUnreserved, runAtOnce } from '../operation.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import { generationsOf, isCurrent, makeCurrent } from './generation.ts';

export interface RollbackOptions {
  name: string;
  /** A generation's number; the newest that is older than the current one when absent. */
  to?: number | undefined;
}

export interface RolledBack {
  image: ImageRow;
  /** The generation that the name stood for before; null when it stood for none. */
  from: number | null;
}

/**
 * Lets a name stand for another of its generations, in one transaction; no file is touched.
 * @throws BangerError `not_found` for a generation that there is not; `already_exists` for the current one, or while an
 *   operation is about to publish under the name
 */
export function rollBack(workspace: Workspace, { name, to }: RollbackOptions): Promise<RolledBack> {
  return runAtOnce(workspace, () => {
    const { store } = workspace;
    const generations = generationsOf(store, name);
    const current = generations.find(isCurrent);
    const target = choose(name, generations, current, to);
    assertNameUnreserved(store, name);
    return {
      plan: { kind: 'rollback', imageId: target.id, imageName: name, reservations: [] },
      apply: () => ({
        image: makeCurrent(store, target, new Date().toISOString()),
        from: current?.generation ?? null,
      }),
    };
  });
}

function choose(
  name: string,
  generations: readonly ImageRow[],
  current: ImageRow | undefined,
  to: number | undefined,
): ImageRow {
  const hints = [`banger image history ${name}`];
  const chosen =
    to === undefined
      ? generations.find(({ generation }) => generation < (current?.generation ?? Number.POSITIVE_INFINITY))
      : generations.find(({ generation }) => generation === to);
  if (chosen === undefined) {
    const what = to === undefined ? 'no earlier generation' : `no generation ${to}`;
    throw new BangerError('not_found', `${name} has ${what}`, { hints });
  }
  if (chosen === current) {
    throw new BangerError('already_exists', `${name} stands for generation ${chosen.generation} already`, {
      hints,
    });
  }
  return chosen;
}
