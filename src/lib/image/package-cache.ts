import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Sandbox } from '../system/sandbox.ts';
import type { GuestBind } from '../system/sandbox-step.ts';

/**
 * What apt downloads, beside the image instead of in it: it need not be cleaned away, a second installation of the same
 * build fetches no list again, and an ordinary user's does not go through fuse2fs.
 */
export interface PackageCache {
  binds: readonly GuestBind[];
  /** Whatever a package did with the place, whose files may belong to ids of the guest. */
  remove(sandbox: Sandbox): Promise<void>;
}

export async function makePackageCache(stageDir: string): Promise<PackageCache> {
  const root = join(stageDir, 'apt');
  const [lists, cache] = [join(root, 'lists'), join(root, 'cache')];
  const archives = join(cache, 'archives');
  // apt wants its directories for unfinished downloads to be there (apt.conf(5), Dir). One by one: mkdir's `recursive`
  // tells a used-up quota as ENOENT (Node 24.21.0).
  for (const path of [root, lists, join(lists, 'partial'), cache, archives, join(archives, 'partial')]) {
    await mkdir(path);
  }
  return {
    binds: [
      { source: lists, target: '/var/lib/apt/lists', writable: true },
      { source: cache, target: '/var/cache/apt', writable: true },
    ],
    async remove(sandbox) {
      await sandbox.runTool('rm', ['-rf', '--', root]);
    },
  };
}
