import { textOfName } from '../system/file-name.ts';
import { assertReadable, readContent } from './content.ts';
import { EXTENTS_FLAG, INLINE_DATA_FLAG, type Inode } from './inode.ts';
import { hasExtents } from './runs.ts';
import type { Volume } from './volume.ts';

/** What fits into i_block with its NUL, in bytes. */
const FAST_BYTES = 60;
/** The longest that there is, with its NUL (limits.h, PATH_MAX). */
const MAX_BYTES = 4096;

/**
 * What a symbolic link says. A short one stands in the place of its map; some writers set the flag of extents for it all
 * the same.
 * @throws BangerError `corrupt`, or `preflight_failed` when it is encrypted
 */
export function linkTarget(volume: Volume, inode: Inode): string {
  assertReadable(volume, inode);
  const { size, flags, blocks } = inode;
  if (size === 0 || size >= MAX_BYTES) throw volume.damaged(inode, `is a symbolic link of ${size} bytes`);
  const isInline = (flags & INLINE_DATA_FLAG) !== 0;
  const isMapped = (flags & EXTENTS_FLAG) !== 0 && hasExtents(inode);
  const isFast = size < FAST_BYTES && !isInline && !isMapped;
  const target = isFast ? blocks.subarray(0, size) : readContent(volume, inode, size);
  if (target.includes(0)) throw volume.damaged(inode, 'is a symbolic link with a NUL');
  return textOfName(target);
}
