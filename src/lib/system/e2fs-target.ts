import path from 'node:path';
import { BangerError } from '../errors.ts';

export interface E2fsTarget {
  cwd: string;
  /** What to hand to the tool; never looks like an option. */
  file: string;
}

/**
 * How an image is named to e2fsck, resize2fs and debugfs: relative to its directory. They take what follows a `?`
 * anywhere in a name for options of their I/O layer (e2fsprogs, lib/ext2fs/openfs.c), and then open another file.
 * @throws BangerError `preflight_failed` when the file's own name has a `?`.
 */
export function e2fsTarget(image: string): E2fsTarget {
  const absolute = path.resolve(image);
  const name = path.basename(absolute);
  if (name.includes('?')) {
    throw new BangerError(
      'preflight_failed',
      `${image}: the ext4 tools cannot open a file with "?" in its name`,
      {
        hints: ['rename the file'],
      },
    );
  }
  return { cwd: path.dirname(absolute), file: `./${name}` };
}
