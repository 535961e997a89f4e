import { crc32c } from './checksum.ts';

// Maps of files: Linux, Documentation/filesystems/ext4/ifork.rst.

const MAGIC = 0xf30a;
const NODE_BYTES = 12;
/** How many nodes i_block has room for beside the header. */
const ROOT_NODES = 4;
/** A longer one stands for blocks that were never written. */
export const MAX_EXTENT_BLOCKS = 32768;

export interface Extent {
  /** Number of its first block in the file. */
  logical: number;
  /** And on the disk. */
  physical: number;
  count: number;
}

/** An extent, or the block that has those from `logical` on. */
type TreeNode = Omit<Extent, 'count'> & Partial<Extent>;

/** Puts stretches of blocks into a file's list, as few extents as can be. */
export function addExtent(extents: Extent[], { logical, physical, count }: Extent): void {
  const last = extents.at(-1);
  const follows =
    last !== undefined &&
    last.logical + last.count === logical &&
    last.physical + last.count === physical &&
    last.count + count <= MAX_EXTENT_BLOCKS;
  if (follows) last.count += count;
  else extents.push({ logical, physical, count });
}

export interface TreeGround {
  /** Bytes. */
  blockSize: number;
  /** What the checksums of the file's blocks begin with. */
  seed: number;
  takeBlock(): number;
  write(block: number, bytes: Buffer): void;
}

/** Writes the map of a file and returns what of it stands in the inode, and how many blocks it took. */
export function writeExtentTree(
  extents: readonly Extent[],
  { blockSize, seed, takeBlock, write }: TreeGround,
): { map: Buffer; blocks: number } {
  const perBlock = Math.floor((blockSize - NODE_BYTES) / NODE_BYTES);
  let level: readonly TreeNode[] = extents;
  let depth = 0;
  let blocks = 0;
  for (; level.length > ROOT_NODES; depth += 1) {
    const above: TreeNode[] = [];
    for (let at = 0; at < level.length; at += perBlock) {
      const nodes = level.slice(at, at + perBlock);
      const bytes = Buffer.alloc(blockSize);
      encodeNodes(bytes, nodes, { depth, most: perBlock });
      const checksumAt = NODE_BYTES * (1 + perBlock);
      bytes.writeUInt32LE(crc32c(seed, bytes.subarray(0, checksumAt)), checksumAt);
      const physical = takeBlock();
      write(physical, bytes);
      blocks += 1;
      above.push({ logical: nodes[0]?.logical ?? 0, physical });
    }
    level = above;
  }
  const map = Buffer.alloc(NODE_BYTES * (1 + ROOT_NODES));
  encodeNodes(map, level, { depth, most: ROOT_NODES });
  return { map, blocks };
}

function encodeNodes(
  bytes: Buffer,
  nodes: readonly TreeNode[],
  { depth, most }: { depth: number; most: number },
): void {
  bytes.writeUInt16LE(MAGIC, 0);
  bytes.writeUInt16LE(nodes.length, 2);
  bytes.writeUInt16LE(most, 4);
  bytes.writeUInt16LE(depth, 6);
  for (const [index, node] of nodes.entries()) {
    const at = NODE_BYTES * (1 + index);
    const high = Math.floor(node.physical / 2 ** 32);
    bytes.writeUInt32LE(node.logical, at);
    if (node.count !== undefined) {
      bytes.writeUInt16LE(node.count, at + 4);
      bytes.writeUInt16LE(high, at + 6);
      bytes.writeUInt32LE(node.physical % 2 ** 32, at + 8);
    } else {
      bytes.writeUInt32LE(node.physical % 2 ** 32, at + 4);
      bytes.writeUInt16LE(high, at + 8);
    }
  }
}
