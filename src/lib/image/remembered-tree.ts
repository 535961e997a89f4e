import { RememberedDigests } from '../context/remembered.ts';
import { BangerError } from '../errors.ts';
import { withVolume } from '../ext4/volume.ts';
import { identityOf } from '../system/file-identity.ts';
import { statIfPossible } from '../system/filesystem.ts';
import { oneLine } from '../text.ts';
import { digestTree, type TreeDigestOptions } from './tree-digest.ts';

/** In the cache directory: what the trees of images were found to be. */
const DATABASE = 'trees.db';

export interface RememberedTreeOptions extends TreeDigestOptions {
  cacheDir: string;
}

function remembered({ cacheDir, newest }: RememberedTreeOptions): RememberedDigests {
  return new RememberedDigests(cacheDir, `tree digests ${newest ?? 'without times'}`, DATABASE);
}

function identityOfFile(path: string): string | null {
  const found = statIfPossible(path);
  return found && identityOf(found);
}

/** The digest of an image's tree where it was computed before and the file is as it was then; else null. */
export function knownTreeDigest(path: string, options: RememberedTreeOptions): string | null {
  const identity = identityOfFile(path);
  return identity === null ? null : remembered(options).find(identity);
}

/**
 * The digest of an image's tree, computed where it is not known: that reads the image.
 * @throws BangerError as digestTree; `preflight_failed` when the file changes meanwhile
 */
export async function treeDigestOf(path: string, options: RememberedTreeOptions): Promise<string> {
  const digests = remembered(options);
  const before = identityOfFile(path);
  const known = before === null ? null : digests.find(before);
  if (known !== null) {
    digests.save();
    return known;
  }
  const readFrom = Date.now();
  const digest = await withVolume(path, (volume) => digestTree(volume, options));
  if (before === null || identityOfFile(path) !== before) {
    throw new BangerError('preflight_failed', `${oneLine(path)} changed while it was being read`, {
      hints: ['stop whatever writes to it, then run the command again'],
    });
  }
  digests.add(path, before, digest, readFrom);
  digests.save();
  return digest;
}
