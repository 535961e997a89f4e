import { runAtOnce } from '../operation.ts';
import { updateImage } from '../store/images.ts';
import type { ImageRow } from '../store/schema.ts';
import type { Workspace } from '../workspace.ts';
import { findImage } from './find.ts';

/** Marks an image so that neither delete nor prune takes it, or takes the mark away. One that is so already stays so. */
export function setProtection(workspace: Workspace, ref: string, isProtected: boolean): Promise<ImageRow> {
  return runAtOnce(workspace, () => {
    const present = findImage(workspace.store, ref);
    const mark = isProtected ? 1 : 0;
    const image: ImageRow =
      present.protected === mark
        ? present
        : { ...present, protected: mark, updated_at: new Date().toISOString() };
    return {
      plan: {
        kind: isProtected ? 'protect' : 'unprotect',
        imageId: image.id,
        imageName: image.name,
        reservations: [],
      },
      apply() {
        updateImage(workspace.store, image);
        return image;
      },
    };
  });
}
