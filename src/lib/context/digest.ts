import { createHash } from 'node:crypto';
import { digestFile } from '../system/file-digest.ts';
import { identityOf } from '../system/file-identity.ts';
import { bytesOfName } from '../system/file-name.ts';
import type { ContextEntry } from './entry.ts';
import { changedWhileRead, type Reading, readError } from './reading.ts';
import type { RememberedDigests } from './remembered.ts';

export interface ContextDigest {
  /** In hex. */
  sha256: string;
  /** How many files were read; the others were known. */
  filesRead: number;
  /** Their size, in bytes. */
  bytesRead: number;
}

/** Begins each digest, and changes with what it is made of. */
const FORMAT = 'banger context 1';

/**
 * One digest of all that decides what a copy will be: in their order each entry's type, path and mode, the owner, what a
 * link says, the digest of a file's content. No times and no owner of this machine: neither comes into the image.
 * @param owner who owns what is copied, as `--chown` says it
 * @throws PreflightError naming a file that changed since it was found, or cannot be read
 */
export async function digestEntries(
  entries: readonly ContextEntry[],
  owner: string,
  { remembered, reading }: { remembered: RememberedDigests; reading: Reading },
): Promise<ContextDigest> {
  const all = createHash('sha256').update(`${FORMAT}\0${owner}\0`);
  const read = { filesRead: 0, bytesRead: 0 };
  try {
    for (const entry of entries) {
      if (reading.isTired) await reading.rest();
      const mode = entry.type === 'symlink' ? '' : entry.mode.toString(8);
      // NUL ends each part: no path and no link can hold one.
      all.update(`${entry.type}\0${mode}\0`).update(bytesOfName(entry.path)).update('\0');
      if (entry.target !== null) all.update(bytesOfName(entry.target));
      if (entry.identity !== null) {
        let digest = remembered.find(entry.identity);
        if (digest === null) {
          digest = await readDigest(entry, { remembered, reading });
          read.filesRead += 1;
          read.bytesRead += entry.size;
        }
        all.update(digest);
      }
      all.update('\0');
    }
  } finally {
    // Of a run that was cancelled, too: the next one need not begin anew.
    remembered.save();
  }
  return { sha256: all.digest('hex'), ...read };
}

async function readDigest(
  { source, identity }: ContextEntry,
  { remembered, reading }: { remembered: RememberedDigests; reading: Reading },
): Promise<string> {
  const readFrom = Date.now();
  try {
    const digest = await digestFile(source, {
      isExpected: (stats) => identityOf(stats) === identity,
      rest: () => (reading.isTired ? reading.rest() : null),
    });
    if (digest === null || identity === null) throw changedWhileRead(source);
    remembered.add(source, identity, digest, readFrom);
    return digest;
  } catch (error) {
    throw readError(source, error);
  }
}
