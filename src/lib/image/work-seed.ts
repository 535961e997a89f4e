import { randomUUID } from 'node:crypto';
import { rootOf } from '../ext4/children.ts';
import { piecesOf } from '../ext4/content.ts';
import type { Inode } from '../ext4/inode.ts';
import { lookup } from '../ext4/lookup.ts';
import { type Volume, withVolume } from '../ext4/volume.ts';
import { walkVolume } from '../ext4/walk.ts';
import { repackExt4 } from '../repack/repack.ts';
import { makeExt4 } from '../system/ext4.ts';
import { bytesOfName } from '../system/file-name.ts';
import type { MountedSandbox } from '../system/sandbox.ts';

const MIB = 2 ** 20;
/** Of the work seed. */
const BLOCK = 4096;
/** Of each name in a directory, with what it is padded with at the most. */
const ENTRY_HEADER = 8 + 3;
/** What st_blocks counts in (stat(3type)). */
const SECTOR = 512;
/** How the guest's fstab names the disk. */
export const WORK_SEED_LABEL = 'work-seed';

/** Content plus 256 MiB, rounded up to 64 MiB, at least 512 MiB. In bytes. */
export function workSeedSize(contentBytes: number): number {
  return Math.max(512 * MIB, Math.ceil((contentBytes + 256 * MIB) / (64 * MIB)) * 64 * MIB);
}

/**
 * Room for a quarter more files than there are. Where there are few, as many as usual (one for 16 KiB), but not so many
 * that their table, 256 bytes each, would eat up the room that the size leaves.
 */
export function workSeedInodes(contentInodes: number, sizeBytes: number): number {
  const usual = Math.min(sizeBytes / 16384, 2 ** 18);
  return Math.max(usual, Math.ceil(contentInodes * 1.25) + 1024);
}

/**
 * Makes the work seed: an ext4 of the guest's /root as it stands in the mounted rootfs. A guest whose /root is missing,
 * or is a link (which would lead into the host from here), gets an empty one.
 */
export async function makeWorkSeed(
  sandbox: Pick<MountedSandbox, 'root' | 'runTool'>,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const home = `${sandbox.root}/root`;
  const { stdout } = await sandbox.runTool(
    'find',
    [
      sandbox.root,
      ...['-mindepth', '1'],
      ...['-maxdepth', '1'],
      ...['-name', 'root'],
      ...['-type', 'd'],
      ...['-printf', 'directory'],
    ],
    { signal },
  );
  if (stdout !== 'directory') {
    await makeExt4(target, { sizeBytes: workSeedSize(0), label: WORK_SEED_LABEL, signal });
    return;
  }
  const content = await measure(sandbox, home, signal);
  const sizeBytes = workSeedSize(content.bytes);
  await makeExt4(target, {
    sizeBytes,
    inodes: workSeedInodes(content.inodes, sizeBytes),
    label: WORK_SEED_LABEL,
    fromDirectory: home,
    runTool: sandbox.runTool,
    signal,
  });
}

/**
 * The same of a rootfs that nobody has mounted, which is only read. Of a file's times the last change of content is kept.
 * @throws BangerError `corrupt`, `preflight_failed`, as repackExt4
 */
export async function makeWorkSeedOf(rootfs: string, target: string, signal: AbortSignal): Promise<void> {
  const found = await withVolume(rootfs, async (volume) => {
    const directory = lookup(volume, 'root', { follow: false });
    if (directory?.type !== 'directory') return null;
    return { directory, content: await measureVolume(volume, signal, directory) };
  });
  if (found === null) {
    await makeExt4(target, { sizeBytes: workSeedSize(0), label: WORK_SEED_LABEL, signal });
    return;
  }
  const { directory, content } = found;
  const sizeBytes = workSeedSize(content.bytes);
  await repackExt4(rootfs, target, {
    ...{ sizeBytes, inodes: workSeedInodes(content.inodes, sizeBytes), signal },
    ...{ uuid: randomUUID(), hashSeed: randomUUID(), epoch: Math.floor(Date.now() / 1000) },
    only: { directory, label: WORK_SEED_LABEL },
  });
}

/** What files and directories take on a disk of the work seed's blocks. */
export interface Content {
  bytes: number;
  inodes: number;
}

/** What the files below a directory take on another filesystem: the same for the same files, however they lie. */
export async function measureVolume(
  volume: Volume,
  signal: AbortSignal,
  top: Inode = rootOf(volume),
): Promise<Content> {
  const content = { bytes: 0, inodes: 0 };
  const counted = new Set<number>();
  for await (const { path, inode } of walkVolume(volume, { signal, top })) {
    content.bytes += ENTRY_HEADER + bytesOfName(path.slice(path.lastIndexOf('/') + 1)).length;
    if (counted.has(inode.number)) continue;
    counted.add(inode.number);
    content.inodes += 1;
    const hasBlock = inode.type === 'directory' || inode.type === 'symlink';
    content.bytes += (hasBlock ? BLOCK : 0) + (inode.attributeBlock === 0 ? 0 : BLOCK);
    if (inode.type !== 'file') continue;
    for (const { bytes } of piecesOf(volume, inode)) content.bytes += BLOCK * Math.ceil(bytes.length / BLOCK);
  }
  return content;
}

/** What a tree takes on a disk of the work seed's blocks: in the rootfs they may be smaller, or the data in the inode. */
async function measure(
  { runTool }: Pick<MountedSandbox, 'runTool'>,
  tree: string,
  signal: AbortSignal,
): Promise<Content> {
  const content = { bytes: 0, inodes: 0 };
  const linked = new Set<string>();
  const onLine = (line: string): void => {
    const [type, links, inode = '', size, sectors] = line.split(' ');
    if (type !== 'd' && links !== '1') {
      if (linked.has(inode)) return;
      linked.add(inode);
    }
    const least = type === 'f' && size !== '0' ? 1 : 0;
    content.inodes += 1;
    content.bytes += BLOCK * Math.max(least, Math.ceil((Number(sectors) * SECTOR) / BLOCK));
  };
  await runTool('find', [tree, '-xdev', '-printf', '%y %n %i %s %b\\n'], { onLine, signal });
  return content;
}
