import { shortId } from '../id.ts';
import { formatPairs, formatTable } from '../table.ts';
import { formatAge, formatBytes } from '../text.ts';
import type { ArtifactKind } from './artifacts.ts';
import type { ListedImage } from './list.ts';
import type { ShownImage } from './show.ts';

const HEADER = ['NAME', 'ID', 'MANAGED', 'SIZE', 'VIRTUAL', 'KERNEL', 'PACKAGES', 'CREATED', 'IN USE BY'];

/** The table of `image list`. */
export function imageTable(images: readonly ListedImage[]): string {
  const now = Date.now();
  return formatTable(
    HEADER,
    images.map((image) => [
      image.name,
      shortId(image.id),
      image.managed ? 'yes' : 'no',
      image.allocated_bytes === null ? 'missing' : formatBytes(image.allocated_bytes),
      image.virtual_bytes === null ? 'missing' : formatBytes(image.virtual_bytes),
      image.kernel_version ?? '-',
      packagesOf(image),
      formatAge(image.created_at, now),
      image.in_use_by.join(', ') || '-',
    ]),
  );
}

function packagesOf(image: Pick<ListedImage, 'packages_preset' | 'docker'>): string {
  return [image.packages_preset ?? '-', ...(image.docker ? ['docker'] : [])].join('+').replace(/^-\+/u, '');
}

/** What `image show` prints for people. */
export function imageReport(image: ShownImage): string {
  const now = Date.now();
  const file = (kind: ArtifactKind, path: string | null): string | null => {
    if (path === null) return null;
    const size = image.sizes[kind];
    if (!size) return `${path} (missing)`;
    if (kind === 'modules') return path;
    const virtual = size.virtual > size.allocated ? ` of ${formatBytes(size.virtual)}` : '';
    return `${path} (${formatBytes(size.allocated)}${virtual})`;
  };
  const base =
    image.base_image_id === null
      ? null
      : `${image.base_image_name ?? '?'} (${shortId(image.base_image_id)}${image.base_image_exists ? '' : ', deleted'})`;
  const users = [
    ...image.vms.map((name) => `vm ${name}`),
    ...image.operations.map(({ kind, image_name, id }) => `${kind} ${image_name} (${shortId(id)})`),
  ];
  return formatPairs([
    ['name', image.name],
    ['id', image.id],
    ['managed', image.managed ? `yes, in ${image.artifact_dir}` : 'no, the files are yours'],
    ['rootfs', file('rootfs', image.rootfs_path)],
    ['work seed', file('workSeed', image.work_seed_path)],
    ['kernel', file('kernel', image.kernel_path)],
    ['kernel version', [image.kernel_version ?? 'unknown', image.kernel_format].filter(Boolean).join(', ')],
    ['initrd', file('initrd', image.initrd_path)],
    ['modules', file('modules', image.modules_dir)],
    ['size asked for', image.build_size === null ? null : formatBytes(image.build_size)],
    ['packages', packagesOf(image)],
    ['built from', base],
    ['ssh key', image.seeded_ssh_public_key_fingerprint],
    ['tree digest', treeDigestOf(image)],
    ['protected', image.protected ? 'yes' : null],
    ['in use by', users.join(', ') || 'nothing'],
    ['created', `${formatAge(image.created_at, now)} (${image.created_at})`],
    ['updated', `${formatAge(image.updated_at, now)} (${image.updated_at})`],
  ]);
}

/** With the time that it counts times up to, where it does. */
function treeDigestOf({ tree_digest: digest, tree_digest_epoch: epoch }: ShownImage): string | null {
  if (digest === null || epoch === null) return digest;
  return `${digest} (times up to ${new Date(epoch * 1000).toISOString()})`;
}
