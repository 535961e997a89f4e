import { join } from 'node:path';
import type { Layout } from '../layout.ts';

/** Names of a VM's disks in its directory. */
export const VM_FILES = { rootfs: 'rootfs.ext4', work: 'work.ext4', knownHosts: 'known_hosts' } as const;

/** `vms/<id>`: where a VM lives. */
export function vmDirectory({ vmsDir }: Pick<Layout, 'vmsDir'>, id: string): string {
  return join(vmsDir, id);
}
