import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What the verifier reads of an image's row. */
export interface RecordedImage {
  id: string;
  name: string;
  managed: number;
  artifact_dir: string | null;
  rootfs_path: string;
  kernel_path: string;
  initrd_path: string | null;
  modules_dir: string | null;
  work_seed_path: string | null;
  base_image_id: string | null;
}

const TRASH = '.trash';
const PRIVATE = ['.', 'images', 'steps', 'mounts', 'live', 'image-build', 'vms'];

/** Directories are the owner's and closed to others. */
export function inspectDirectories(stateDir: string, uid: number): string[] {
  return PRIVATE.map((name) => join(stateDir, name))
    .filter((path) => existsSync(path))
    .flatMap((path) => inspectOwned(path, uid, 0o700));
}

function inspectOwned(path: string, uid: number, mode?: number): string[] {
  const stat = lstatSync(path);
  const found = stat.mode & 0o7777;
  return [
    ...(stat.uid === uid ? [] : [`${path} belongs to uid ${stat.uid}, not ${uid}`]),
    ...(mode === undefined || found === mode
      ? []
      : [`${path} has mode ${found.toString(8)}, not ${mode.toString(8)}`]),
  ];
}

/** Every directory below `vms/` is a VM's, every VM has its own, with a root disk in it that is the owner's alone. */
export function inspectVms(
  stateDir: string,
  vms: readonly { id: string; name: string }[],
  uid: number,
): string[] {
  const vmsDir = join(stateDir, 'vms');
  const expected = new Set(vms.map(({ id }) => id));
  const strays = (existsSync(vmsDir) ? readdirSync(vmsDir) : []).filter((name) => !expected.has(name));
  return [
    ...strays.map((name) => `vms/${name} is no VM's`),
    ...vms.flatMap(({ id, name }) => {
      const own = join(vmsDir, id);
      if (!existsSync(own)) return [`VM ${name} has lost its directory`];
      const disks = readdirSync(own).filter((file) => file.endsWith('.ext4'));
      return [
        ...inspectOwned(own, uid, 0o700),
        ...(disks.includes('rootfs.ext4') ? [] : [`VM ${name} has no root disk`]),
        ...disks.flatMap((disk) => inspectOwned(join(own, disk), uid, 0o600)),
      ];
    }),
  ];
}

/** Every directory below `images/` is a managed image's, every managed image has its own, and nothing is missing in it. */
export function inspectArtifacts(
  stateDir: string,
  { images, deleted }: { images: readonly RecordedImage[]; deleted: readonly string[] },
  uid: number,
): string[] {
  const imagesDir = join(stateDir, 'images');
  const managed = images.filter((image) => image.managed === 1);
  const expected = new Set([TRASH, ...managed.map((image) => image.id), ...deleted]);
  const strays = (existsSync(imagesDir) ? readdirSync(imagesDir) : []).filter((name) => !expected.has(name));
  return [
    ...strays.map((name) => `images/${name} is no image's`),
    ...managed.flatMap((image) => inspectManaged(image)),
  ];

  function inspectManaged(image: RecordedImage): string[] {
    const own = join(imagesDir, image.id);
    if (!existsSync(own)) return [`image ${image.name} has lost its directory`];
    const paths = [
      image.rootfs_path,
      image.kernel_path,
      image.initrd_path,
      image.modules_dir,
      image.work_seed_path,
    ];
    const recorded = paths.filter((path) => path !== null);
    const known = new Set([...recorded.map((path) => basename(path)), 'rootfs.ext4.packages.sha256']);
    return [
      ...(image.artifact_dir === own
        ? []
        : [`image ${image.name} has its files in ${image.artifact_dir}, not ${own}`]),
      ...recorded
        .filter((path) => !path.startsWith(`${own}/`))
        .map((path) => `${image.name}: ${path} is elsewhere`),
      ...recorded.filter((path) => !existsSync(path)).map((path) => `image ${image.name} has lost ${path}`),
      ...readdirSync(own)
        .filter((name) => !known.has(name))
        .map((name) => `images/${image.id}/${name} is in no record`),
      ...inspectOwned(own, uid, 0o700),
      ...readdirSync(own).flatMap((name) => inspectOwned(join(own, name), uid)),
      ...inspectSidecar(join(own, 'rootfs.ext4.packages.sha256')),
    ];
  }
}

/** Every directory of the trash is a deleted image's, and every deleted image has its own. */
export function inspectTrash(stateDir: string, deleted: readonly string[], uid: number): string[] {
  const trash = join(stateDir, 'images', TRASH);
  const entries = existsSync(trash) ? readdirSync(trash) : [];
  return [
    ...(existsSync(trash) ? inspectOwned(trash, uid, 0o700) : []),
    ...entries.filter((name) => !deleted.includes(name)).map((name) => `${TRASH}/${name} is in no record`),
    ...deleted
      // A full disk keeps it where it was.
      .filter((id) => !entries.includes(id) && !existsSync(join(stateDir, 'images', id)))
      .map((id) => `deleted image ${id} has lost its directory`),
  ];
}

/** A step of a build that is kept. */
export interface RecordedStep {
  id: string;
  kind: 'step' | 'result';
  state: string;
  title: string;
}

/** Every directory below `steps/` is a kept step's with all its files, and nothing is on its way there or away. */
export function inspectSteps(stateDir: string, steps: readonly RecordedStep[], uid: number): string[] {
  const directory = join(stateDir, 'steps');
  const entries = existsSync(directory) ? readdirSync(directory) : [];
  const known = new Set(steps.map(({ id }) => id));
  return [
    ...entries.filter((name) => !known.has(name)).map((name) => `steps/${name} is in no record`),
    ...steps
      .filter(({ state }) => state !== 'kept')
      .map(({ id, state, title }) => `step ${id} (${title}) was left ${state}`),
    ...steps.flatMap(({ id, kind }) => {
      const wanted = kind === 'result' ? ['rootfs.ext4', 'work-seed.ext4'] : ['rootfs.ext4'];
      const own = join(directory, id);
      const names = existsSync(own) ? readdirSync(own).sort() : [];
      if (names.join() !== wanted.join())
        return [`steps/${id} has ${names.join(', ')}, not ${wanted.join(', ')}`];
      return names.flatMap((name) => inspectOwned(join(own, name), uid, 0o600));
    }),
  ];
}

function inspectSidecar(path: string): string[] {
  if (!existsSync(path) || /^[0-9a-f]{64}\n$/u.test(readFileSync(path, 'utf8'))) return [];
  return [`${path} is not one SHA-256 in hex`];
}
