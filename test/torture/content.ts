import { run } from '../../src/lib/system/process.ts';
import type { RecordedImage } from '../support/verifier-files.ts';
import type { Ground } from './ground.ts';

/**
 * Compares a managed image that was made of a ground's files with them: all of what was copied, and of a rootfs that
 * was worked on the largest file in it. Filesystem checks see structure alone.
 */
export async function inspectContent({ base }: Ground, image: RecordedImage): Promise<string[]> {
  const same = async (file: string, ...args: string[]): Promise<string[]> => {
    const { exitCode, stdout, stderr } = await run(file, args, { okExit: 'any' });
    return exitCode === 0 ? [] : [`${image.name} is not what it was made of: ${stdout}${stderr}`.trim()];
  };
  return [
    ...(await same('cmp', image.kernel_path, base.kernel)),
    ...(image.modules_dir === null ? [] : await same('diff', '-r', image.modules_dir, base.modules)),
    ...(image.base_image_id === null
      ? await same('cmp', image.rootfs_path, base.rootfs)
      : await same('sh', '-c', SAME_BUSYBOX, 'sh', image.rootfs_path, base.rootfs)),
  ];
}

const SAME_BUSYBOX = `
sum() { debugfs -R 'cat /bin/busybox' "$1" 2>/dev/null | sha256sum; }
[ "$(sum "$1")" = "$(sum "$2")" ] || { echo "/bin/busybox in $1"; exit 1; }
`;
