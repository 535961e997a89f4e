import type { BuildLog } from '../build-log.ts';
import { BangerError } from '../errors.ts';
import { checkExt4, confirmExt4, type Repair, recoverExt4 } from '../system/ext4.ts';
import { readSuperblock } from '../system/superblock.ts';
import { oneLine, shellWord } from '../text.ts';

export interface CopiedDisk {
  /** Ours to mend. */
  copy: string;
  /** The user's own, which the copy was made from. */
  source: string;
  /** The source is a managed image's: it was checked whole when it was published, and nobody writes to it. */
  wasChecked?: boolean;
  signal: AbortSignal;
}

/**
 * Makes sure that the copy of a filesystem may be mounted and published: a journal that was not replayed is, what a boot
 * would mend without asking is mended, anything worse is refused. A sound one keeps every byte.
 * @returns what was mended
 * @throws BangerError `corrupt` naming the source, whose damage it is; `tool_failed`
 */
export async function makeSound({ copy, source, wasChecked = false, signal }: CopiedDisk): Promise<Repair> {
  try {
    if (await isSound(copy, wasChecked, signal)) return { repaired: [] };
    const repair = await recoverExt4(copy, { signal });
    await confirmExt4(copy, 'e2fsck', { signal });
    return repair;
  } catch (error) {
    if (!(error instanceof BangerError) || error.code !== 'corrupt') throw error;
    // The copy is gone when this is read.
    throw new BangerError('corrupt', error.message.replaceAll(copy, oneLine(source)), {
      hints: [`e2fsck -f ${shellWord(source)}`, 'then run the command again'],
      details: { ...error.details, path: source },
      cause: error,
    });
  }
}

async function isSound(copy: string, wasChecked: boolean, signal: AbortSignal): Promise<boolean> {
  const { needsRecovery, state } = readSuperblock(copy);
  if (needsRecovery || state !== 'clean') return false;
  if (wasChecked) return true;
  try {
    await checkExt4(copy, { signal });
    return true;
  } catch (error) {
    if (error instanceof BangerError && error.code === 'corrupt') return false;
    throw error;
  }
}

/** A filesystem that was mended is no error, but what was taken away must not go unseen. */
export function tellRepair({ repaired }: Repair, what: string, note: (message: string) => void): void {
  const [first] = repaired;
  if (first !== undefined) note(`the ${what} was damaged; e2fsck mended it: ${first}`);
}

/** The same of a root filesystem in a build, whose log has all of it. */
export function tellRootfsRepair(
  repair: Repair,
  { log, note }: { log: Pick<BuildLog, 'write'>; note: (message: string) => void },
): void {
  for (const line of repair.repaired) log.write(`e2fsck: ${line}`);
  tellRepair(repair, 'root filesystem', note);
}
