import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '../../src/lib/id.ts';
import { layoutOf } from '../../src/lib/layout.ts';
import { insertImage } from '../../src/lib/store/images.ts';
import { openForWriting } from '../../src/lib/store/open.ts';
import type { ImageRow } from '../../src/lib/store/schema.ts';
import { type Bench, measure, quote, type Ratio, ratio } from './measure.ts';

const MANY = 10_000;
const FEW = 10;

/** A state with so many managed images, each with files of its own. */
export async function makeState(stateDir: string, count: number): Promise<void> {
  const layout = layoutOf(stateDir);
  await mkdir(layout.imagesDir, { recursive: true, mode: 0o700 });
  const images: ImageRow[] = [];
  for (let index = 0; index < count; index += 1) images.push(await makeImage(layout.imagesDir, index));
  const store = await openForWriting(layout, () => false);
  store.write(() => {
    for (const image of images) insertImage(store, image);
  });
  store.close();
}

async function makeImage(imagesDir: string, index: number): Promise<ImageRow> {
  const id = newId();
  const directory = join(imagesDir, id);
  const file = (name: string): string => join(directory, name);
  await mkdir(directory, { mode: 0o700 });
  for (const name of ['rootfs.ext4', 'work-seed.ext4', 'kernel']) await writeFile(file(name), 'x');
  await truncate(file('rootfs.ext4'), 4 * 1024 ** 3);
  const at = new Date(Date.UTC(2026, 0, 1) + index * 60_000).toISOString();
  return {
    id,
    name: `image-${index}`,
    managed: 1,
    artifact_dir: directory,
    rootfs_path: file('rootfs.ext4'),
    work_seed_path: file('work-seed.ext4'),
    kernel_path: file('kernel'),
    initrd_path: null,
    modules_dir: null,
    generation: 1,
    recipe_digest: null,
    labels: '{}',
    build_size: null,
    packages_preset: 'debian',
    docker: 0,
    seeded_ssh_public_key_fingerprint: null,
    kernel_format: 'bzImage',
    kernel_version: '6.1.0-41-cloud-amd64',
    base_image_id: null,
    base_image_name: null,
    protected: 0,
    created_at: at,
    updated_at: at,
  };
}

/** `image list` must stay quick when there are many. */
export async function benchList(bench: Bench): Promise<Ratio[]> {
  const many = join(bench.work, 'many');
  const few = join(bench.work, 'few');
  await makeState(many, MANY);
  await makeState(few, FEW);
  const list = (stateDir: string, more = ''): string =>
    `${bench.banger} image list --state-dir ${quote(stateDir)}${more}`;
  const times = await measure(
    bench,
    [
      { name: `image list, ${MANY} images`, command: list(many) },
      { name: `image list, ${FEW} images`, command: list(few) },
      { name: `image list --quiet, ${MANY} images`, command: list(many, ' --quiet') },
      { name: `image list --quiet, ${FEW} images`, command: list(few, ' --quiet') },
    ],
    { runs: 20 },
  );
  return [
    ratio('(d) image list of 10,000', 'of 10', [times[0], times[1]], 3),
    ratio('(d) image list --quiet of 10,000', 'of 10', [times[2], times[3]], 2),
  ];
}
