import { BangerError } from '../errors.ts';
import { assertImageFree, assertNameFree, runAtOnce } from '../operation.ts';
import { imagesOfHistory, updateImage } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Store } from '../store/store.ts';
import type { Workspace } from '../workspace.ts';
import { findImage } from './find.ts';
import { generationName, isCurrent } from './generation.ts';
import { assertValidName } from './name.ts';

/** Gives an image another name; its id and its files stay. Its earlier generations go with it. */
export async function renameImage(
  workspace: Workspace,
  ref: string,
  newName: string,
): Promise<{ image: ImageRow; oldName: string }> {
  assertValidName(newName);
  return runAtOnce(workspace, () => {
    const { store } = workspace;
    const present = findImage(store, ref);
    if (present.name === newName) {
      throw new BangerError('already_exists', `the image is named ${newName} already`, {
        hints: ['choose another name'],
      });
    }
    assertNameFree(store, newName);
    assertNoHistory(store, newName);
    assertImageFree(store, present, 'exclusive');
    const updated_at = new Date().toISOString();
    const history = isCurrent(present) ? imagesOfHistory(store, present.name) : [present];
    const earlier = history
      .filter(({ id }) => id !== present.id)
      .map((one) => ({ ...one, name: generationName(newName, one.generation), updated_at }));
    const generation = isCurrent(present) ? present.generation : 1;
    const image = { ...present, name: newName, generation, updated_at };
    return {
      plan: { kind: 'rename', imageId: image.id, imageName: newName, reservations: [] },
      apply() {
        for (const one of [image, ...earlier]) updateImage(store, one);
        return { image, oldName: present.name };
      },
    };
  });
}

/** Generations of two images would be taken for one another's. */
function assertNoHistory(store: Store, name: string): void {
  const left = imagesOfHistory(store, name).length;
  if (left === 0) return;
  throw new BangerError(
    'already_exists',
    `there ${left === 1 ? 'is 1 generation' : `are ${left} generations`} of ${name}`,
    {
      hints: [`banger image history ${name}`, 'choose another name'],
    },
  );
}
