import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** SHA-256 of what is in a file, in hex. */
export async function hashOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/** Everything that would differ if something had touched a file: what is in it, when it changed, whose it is. */
export async function fileIdentity(path: string): Promise<string> {
  const { dev, ino, mode, uid, gid, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [await hashOf(path), dev, ino, mode, uid, gid, size, mtimeNs, ctimeNs].join(':');
}

/** Every file, directory and link of a tree with what is in it: equal for trees that are copies of each other. */
export async function treeContent(root: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(root.length + 1);
    if (entry.isSymbolicLink()) content[name] = `-> ${await readlink(path)}`;
    else content[name] = entry.isDirectory() ? 'directory' : await hashOf(path);
  }
  return content;
}
