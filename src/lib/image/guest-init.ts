import type { Volume } from '../ext4/volume.ts';
import { type Finding, fail, ok, warn } from '../finding.ts';
import type { KernelArch } from '../system/kernel-image.ts';
import { examineProgram, type Runnable } from './guest-program.ts';

/** What a kernel runs first when nothing else is said, in the order in which it tries them (init/main.c, kernel_init). */
const INITS = ['/sbin/init', '/etc/init', '/bin/init'] as const;
const SHELL = '/bin/sh';
const BUSYBOXES = ['/bin/busybox', '/sbin/busybox', '/usr/bin/busybox'];

/**
 * The init that a guest would come up with.
 * @param mend brings it one
 */
export function initFinding(volume: Volume, arch: KernelArch | null, mend: string): Finding {
  const faults: string[] = [];
  for (const path of INITS) {
    const found = examineProgram(volume, path, arch);
    if (found.verdict === 'absent') continue;
    if (found.verdict === 'cannot run') {
      faults.push(found.detail);
      continue;
    }
    const detail = [found.detail, ...faults].join('; ');
    const isSound = found.verdict === 'runs' && faults.length === 0;
    return isSound ? ok('init', detail) : warn('init', detail, faults.length === 0 ? null : mend);
  }
  if (faults.length > 0) return fail('init', faults.join('; '), mend);
  return shellFinding(examineProgram(volume, SHELL, arch), mend);
}

function shellFinding(shell: Runnable, mend: string): Finding {
  const none = `there is no ${INITS.join(', ')}`;
  if (shell.verdict === 'absent') return fail('init', `${none}, and no ${SHELL}`, mend);
  if (shell.verdict === 'cannot run') return fail('init', `${none}, and ${shell.detail}`, mend);
  return warn('init', `${none}: the guest comes up in a shell (${shell.detail})`, mend);
}

/** Whether the guest's init is busybox's, which goes on whatever cannot be mounted. */
export function runsBusybox(volume: Volume): boolean {
  const [init] = INITS.flatMap((path) => inodeOf(volume, path) ?? []);
  return init !== undefined && BUSYBOXES.some((path) => inodeOf(volume, path) === init);
}

function inodeOf(volume: Volume, path: string): number | null {
  const found = examineProgram(volume, path, null);
  return 'inode' in found ? found.inode.number : null;
}
