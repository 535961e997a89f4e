import { newId } from '../id.ts';
import type { ImageRow } from '../store/schema.ts';

/** The row of an image that has a name and an id, and nothing known of it yet. */
export function newImage(name: string): ImageRow {
  const now = new Date().toISOString();
  return {
    id: newId(),
    name,
    managed: 0,
    artifact_dir: null,
    rootfs_path: '',
    work_seed_path: null,
    kernel_path: '',
    initrd_path: null,
    modules_dir: null,
    build_size: null,
    packages_preset: null,
    docker: 0,
    seeded_ssh_public_key_fingerprint: null,
    kernel_format: null,
    kernel_version: null,
    base_image_id: null,
    base_image_name: null,
    protected: 0,
    generation: 1,
    recipe_digest: null,
    labels: '{}',
    created_at: now,
    updated_at: now,
  };
}
