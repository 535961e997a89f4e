import { createHash } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { BangerError } from '../errors.ts';
import { readContent } from '../ext4/content.ts';
import { lookup } from '../ext4/lookup.ts';
import { type Volume, withVolume } from '../ext4/volume.ts';
import { type RepackOptions, repackExt4 } from '../repack/repack.ts';
import { statIfPossible } from '../system/filesystem.ts';
import { readSuperblock } from '../system/superblock.ts';
import type { BaseImage } from './base-image.ts';
import { sourceDate } from './source-date.ts';
import { digestTree } from './tree-digest.ts';
import { measureVolume, workSeedInodes, workSeedSize } from './work-seed.ts';

/** What makes two builds of the same come out as the same file, byte for byte. */
export interface Reproducible {
  /** Seconds since 1970 that no time is later than. */
  epoch: number;
  /** What tells the recipe and its base from others: filesystems are named after it. */
  key: string;
}

/** 1980-01-01, the first day that a zip archive can tell: for what is made from nothing. */
const FIRST_DAY = 315_532_800;

/**
 * The time of a reproducible build: SOURCE_DATE_EPOCH where it is set, else when the base was made.
 * @throws BangerError `usage`, as sourceDate, and when it has not come yet: e2fsck takes that for damage
 */
export function epochOf(base: BaseImage | null): number {
  const epoch = givenEpoch(base);
  if (epoch * 1000 <= Date.now()) return epoch;
  throw new BangerError(
    'usage',
    `${epoch} seconds since 1970, the time of a reproducible build, are in the future`,
    {
      hints: ['set SOURCE_DATE_EPOCH to a time that has passed'],
    },
  );
}

function givenEpoch(base: BaseImage | null): number {
  const given = sourceDate();
  if (given !== null || base === null) return given ?? FIRST_DAY;
  const { managed, created_at, rootfs_path } = base.row;
  if (managed) return Math.floor(Date.parse(created_at) / 1000);
  // One that is missing or unusable is told with all that is, later.
  const found = statIfPossible(rootfs_path);
  return found === null ? FIRST_DAY : Math.max(0, Math.floor(Number(found.mtimeMs) / 1000));
}

/** A UUID that a text decides (RFC 9562, version 8). */
function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(`banger uuid 1\0${text}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5');
}

/**
 * Writes a root filesystem anew in place of the file that it is in.
 * @throws BangerError as repackExt4; `tool_failed` when it has not the same files after it
 */
export async function repackRootfs(
  rootfs: string,
  { epoch, key }: Reproducible,
  signal: AbortSignal,
): Promise<void> {
  const { sizeBytes, inodeCount, uuid } = readSuperblock(rootfs);
  const isNamed = await withVolume(rootfs, (volume) => fstabNames(volume, uuid));
  await repackInPlace(rootfs, {
    ...{ sizeBytes, inodes: inodeCount, epoch, signal },
    uuid: isNamed ? uuid : uuidOf(`rootfs ${key}`),
    hashSeed: uuidOf(`rootfs names ${key}`),
  });
}

/**
 * The same of a work seed, whose size is measured anew: on the disk that it came from its files may have had more blocks.
 * @throws BangerError as repackRootfs
 */
export async function repackWorkSeed(
  workSeed: string,
  { epoch, key }: Reproducible,
  signal: AbortSignal,
): Promise<void> {
  const content = await withVolume(workSeed, (volume) => measureVolume(volume, signal));
  const sizeBytes = workSeedSize(content.bytes);
  await repackInPlace(workSeed, {
    ...{ sizeBytes, inodes: workSeedInodes(content.inodes, sizeBytes), epoch, signal },
    uuid: uuidOf(`work seed ${key}`),
    hashSeed: uuidOf(`work seed names ${key}`),
  });
}

async function repackInPlace(image: string, options: RepackOptions): Promise<void> {
  const { epoch, signal } = options;
  const digestOf = (path: string): Promise<string> =>
    withVolume(path, (volume) => digestTree(volume, { newest: epoch, signal }));
  const packed = `${image}.packed`;
  await repackExt4(image, packed, options);
  const [before, after] = [await digestOf(image), await digestOf(packed)];
  if (before !== after) {
    throw new BangerError('tool_failed', `${packed} has not the files that ${image} has`, {
      hints: ['build without --reproducible'],
      details: { tree_digest: before, tree_digest_repacked: after },
    });
  }
  await rename(packed, image);
}

const FSTAB = 'etc/fstab';
const MAX_FSTAB_BYTES = 65_536;

/** Whether a guest mounts its root filesystem by its UUID, which it then has to keep. */
function fstabNames(volume: Volume, uuid: string): boolean {
  const fstab = lookup(volume, FSTAB, { follow: true });
  if (fstab?.type !== 'file') return false;
  return readContent(volume, fstab, MAX_FSTAB_BYTES).toString('latin1').toLowerCase().includes(uuid);
}
