import { join } from 'node:path';
import { newId } from '../../src/lib/id.ts';
import { newImage } from '../../src/lib/image/new-image.ts';
import type { Layout } from '../../src/lib/layout.ts';
import type { OperationPlan } from '../../src/lib/operation.ts';
import type { ImageRow } from '../../src/lib/store/schema.ts';

/** A row of an image whose files need not exist. */
export function imageRow(overrides: Partial<ImageRow> = {}): ImageRow {
  const blank = newImage('');
  const id = overrides.id ?? blank.id;
  return {
    ...blank,
    id,
    name: `image-${id}`,
    rootfs_path: '/nowhere/rootfs.ext4',
    kernel_path: '/nowhere/kernel',
    ...overrides,
  };
}

/** What a build of this name plans, and the row that it will write. */
export function buildPlan(layout: Layout, name: string): { plan: OperationPlan; image: ImageRow } {
  const id = newId();
  const artifactDir = join(layout.imagesDir, id);
  const image = imageRow({
    id,
    name,
    managed: 1,
    artifact_dir: artifactDir,
    rootfs_path: join(artifactDir, 'rootfs.ext4'),
    kernel_path: join(artifactDir, 'kernel'),
  });
  return {
    image,
    plan: {
      kind: 'build',
      imageId: id,
      imageName: name,
      reservations: [{ kind: 'name', key: name, mode: 'exclusive' }],
      stageDir: `${artifactDir}.build-abc123`,
      artifactDir,
      logPath: join(layout.logDir, `${id}.log`),
    },
  };
}
