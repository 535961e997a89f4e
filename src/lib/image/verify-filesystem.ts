import { type Finding, fail, ok } from '../finding.ts';
import { ext4Fault } from '../system/ext4.ts';
import { readSuperblock, type Superblock } from '../system/superblock.ts';
import { formatBytes, oneLine, shellWord } from '../text.ts';
import { artifactFault } from './requirements.ts';

export interface ExaminedDisk {
  finding: Finding;
  /** Null of one that is not sound. */
  superblock: Superblock | null;
}

const NAMES = { rootfs: 'filesystem', workSeed: 'work_seed' } as const;

/** Whether a disk of an image is there, and a sound ext4 from end to end. Nothing is written to it. */
export async function examineDisk(
  artifact: keyof typeof NAMES,
  path: string,
  { mend, signal }: { mend: string; signal?: AbortSignal | undefined },
): Promise<ExaminedDisk> {
  const name = NAMES[artifact];
  const fault = await artifactFault(artifact, path);
  if (fault !== null) return { finding: fail(name, fault, mend), superblock: null };
  const damage = await ext4Fault(path, signal === undefined ? {} : { signal });
  const superblock = damage === null ? readSuperblock(path) : null;
  if (superblock === null) {
    return { finding: fail(name, damage ?? '', `e2fsck -f ${shellWord(path)}`), superblock: null };
  }
  if (superblock.needsRecovery) {
    const detail = `${oneLine(path)} was not unmounted, or is mounted somewhere: its journal must be replayed`;
    return { finding: fail(name, detail, `e2fsck -fp ${shellWord(path)}`), superblock: null };
  }
  const { sizeBytes, freeBytes, generation } = superblock;
  const detail = `${generation} of ${formatBytes(sizeBytes)}, ${formatBytes(freeBytes)} free`;
  return { finding: ok(name, detail), superblock };
}
