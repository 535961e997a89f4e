import { makeExt4 } from '../system/ext4.ts';
import type { Sandbox } from '../system/sandbox.ts';

const MIB = 2 ** 20;
/** How the guest's fstab names the disk. */
export const WORK_SEED_LABEL = 'work-seed';

/** Content plus 256 MiB, rounded up to 64 MiB, at least 512 MiB. In bytes. */
export function workSeedSize(contentBytes: number): number {
  return Math.max(512 * MIB, Math.ceil((contentBytes + 256 * MIB) / (64 * MIB)) * 64 * MIB);
}

/**
 * Makes the work seed: an ext4 of the guest's /root as it stands in the mounted rootfs. A guest whose /root is missing,
 * or is a link (which would lead into the host from here), gets an empty one.
 */
export async function makeWorkSeed(
  sandbox: Pick<Sandbox, 'root' | 'runTool'>,
  target: string,
  signal: AbortSignal,
): Promise<void> {
  const home = `${sandbox.root}/root`;
  const { stdout } = await sandbox.runTool(
    'find',
    [home, '-maxdepth', '0', '-type', 'd', '-printf', 'directory'],
    {
      okExit: 'any',
      signal,
    },
  );
  if (stdout !== 'directory') {
    await makeExt4(target, { sizeBytes: workSeedSize(0), label: WORK_SEED_LABEL, signal });
    return;
  }
  const usage = await sandbox.runTool(
    'du',
    ['--summarize', '--block-size=1', '--one-file-system', '--', home],
    { signal },
  );
  const contentBytes = Number.parseInt(usage.stdout, 10);
  await makeExt4(target, {
    sizeBytes: workSeedSize(contentBytes),
    label: WORK_SEED_LABEL,
    fromDirectory: home,
    runTool: sandbox.runTool,
    signal,
  });
}
