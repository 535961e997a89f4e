import { BangerError } from '../errors.ts';
import { assertImageFree, assertNameFree, runAtOnce } from '../operation.ts';
import { updateImage } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import { findImage } from './find.ts';
import { assertValidName } from './name.ts';

/** Gives an image another name; its id and its files stay. */
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
    assertImageFree(store, present, 'exclusive');
    const image = { ...present, name: newName, updated_at: new Date().toISOString() };
    return {
      plan: { kind: 'rename', imageId: image.id, imageName: newName, reservations: [] },
      apply() {
        updateImage(store, image);
        return { image, oldName: present.name };
      },
    };
  });
}
