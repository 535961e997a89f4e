import { hostProgram } from './host-program.ts';
import type { StepMount } from './sandbox-step.ts';

/** Who a command of the guest runs as: numbers, which mean the same without a look into the guest. */
export interface Identity {
  uid: number;
  gid: number;
  /** Supplementary groups. */
  groups: readonly number[];
}

export interface UserSwitch {
  mounts: StepMount[];
  /** What stands before the command, which is looked for in the PATH of its environment. */
  prefix: string[];
}

/**
 * How a step becomes another user, after bubblewrap has made everything as root. The host's chroot(1) does it. It
 * chroots to where it is, and of a number behind a `+` it asks nobody: setpriv(1) would load whatever the guest's
 * nsswitch.conf names, busybox has nothing that sets groups of no name.
 * @throws PreflightError when the host has no such program
 */
export async function userSwitch({ uid, gid, groups }: Identity): Promise<UserSwitch> {
  const { mounts, command } = await hostProgram('chroot', 'coreutils');
  const prefix = [
    ...command,
    `--userspec=+${uid}:+${gid}`,
    `--groups=${groups.map((group) => `+${group}`).join(',')}`,
    // Where the step begins is where it stays.
    ...['--skip-chdir', '/'],
  ];
  return { mounts, prefix };
}
