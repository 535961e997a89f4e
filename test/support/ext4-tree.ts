import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';

/** All that an ext4 image holds but for times: names, types, owners, modes, links, xattrs and content. */
export interface Ext4Tree {
  /** A line for each entry, as people read it. */
  listing: string[];
  /** Of an archive of everything, extended attributes and content included: equal only when all of that is. */
  digest: string;
}

/**
 * Mounted in a namespace of its own, so that no failure leaves a mount. GNU tar sees what it sees as root, in an order
 * that depends on names alone; `-vv` names extended attributes too, the digest has their values.
 */
const READ_SCRIPT = `
mount -t ext4 -o ro,loop,noload -- "$1" "$2" && cd -- "$2/$3" || exit 1
digested=$4
shift 4
archive() {
  tar --create --format=pax --pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime,delete=mtime \\
    --sort=name --mtime=@0 --numeric-owner --xattrs '--xattrs-include=*' --anchored "$@" .
}
archive "$@" | tar --list -vv --numeric-owner --xattrs --quoting-style=escape | sed 's/ 1970-01-01 [0-9:]*//'
archive "$@" $digested | sha256sum
`;

export interface TreeOptions {
  /** The directory that is read (default: all). */
  below?: string;
  /** Names in that directory that are left out. */
  without?: readonly string[];
  /** Extended attributes are listed in any order, and the digest is without their values. */
  anyOrder?: boolean;
}

/** Reads an ext4 image's tree through the kernel. Wants root and a loop device. */
export async function readExt4Tree(
  image: string,
  { below = '.', without = [], anyOrder = false }: TreeOptions = {},
): Promise<Ext4Tree> {
  const mountpoint = await mkdtemp(join(tmpdir(), 'banger-tree-'));
  try {
    const { stdout } = await run('unshare', [
      ...['--mount', '--propagation', 'private'],
      ...['sh', '-c', READ_SCRIPT, 'sh', image, mountpoint, below, anyOrder ? '--no-xattrs' : ''],
      ...without.map((name) => `--exclude=./${name}`),
    ]);
    const lines = stdout.trimEnd().split('\n');
    const digest = lines.pop()?.split(' ')[0] ?? '';
    return { digest, listing: anyOrder ? lines.sort() : lines };
  } finally {
    await rm(mountpoint, { recursive: true });
  }
}
