import { textOfName } from '../system/file-name.ts';
import { directoryEntries, ROOT_INODE } from './directory.ts';
import { type Inode, VALUE_FLAG } from './inode.ts';
import type { Volume } from './volume.ts';

/** What a directory holds, by the bytes of the names, `.` and `..` left out. One byte of a name is one character. */
export function childNames(volume: Volume, directory: Inode): { name: string; number: number }[] {
  const found: { name: string; number: number }[] = [];
  for (const { inode, name } of directoryEntries(volume, directory)) {
    const text = name.toString('latin1');
    if (text !== '.' && text !== '..') found.push({ name: text, number: inode });
  }
  found.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const [index, { name }] of found.entries()) {
    if (name === found[index - 1]?.name) throw volume.damaged(directory, 'has a name twice');
  }
  return found;
}

/**
 * The inode that an entry of a directory leads to.
 * @throws BangerError `corrupt` when it is deleted, or none of a file
 */
export function childInode(volume: Volume, directory: Inode, number: number): Inode {
  const { firstInode, inodeCount } = volume.geometry;
  if (number > inodeCount || (number < firstInode && number !== ROOT_INODE)) {
    throw volume.damaged(directory, `has an entry for inode ${number}, which is none of a file`);
  }
  const inode = volume.inode(number);
  const isOne = inode.links > 0 && inode.type !== 'unknown' && (inode.flags & VALUE_FLAG) === 0;
  if (!isOne) throw volume.damaged(directory, `has an entry for inode ${number}, which is in no use`);
  return inode;
}

/** The root directory. */
export function rootOf(volume: Volume): Inode {
  const root = volume.inode(ROOT_INODE);
  if (root.type !== 'directory') throw volume.damaged(root, 'is the root, and not a directory');
  return root;
}

const ASCII = /^[\u0000-\u007f]*$/u;

/** The text of a name whose bytes are characters. */
export function textOfChild(name: string): string {
  return ASCII.test(name) ? name : textOfName(Buffer.from(name, 'latin1'));
}
