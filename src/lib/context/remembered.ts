import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { DigestCache } from '../store/digest-cache.ts';
import type { FileDigest } from '../store/digest-table.ts';
import { bytesOfName, fsPath } from '../system/file-name.ts';
import { filesystemOf } from '../system/filesystem.ts';

/**
 * How much older than the reading a file's last change must be, in nanoseconds. A file that is written to twice within the
 * grain of its filesystem's clock has the same times after the second time, and the second may come after the reading: git
 * calls such an entry racily clean (Documentation/technical/racy-git). Filesystems count in a clock tick (up to 10 ms), in
 * seconds where inodes are small (ext4's of 128 bytes), or in two of them.
 */
const FRESH_NS = 2_000_000_000n;
/** Whose ctime this kernel's own clock sets at each change. A server's clock may be late, FUSE may set none. */
const TRUSTED = ['ext4', 'xfs', 'btrfs', 'f2fs', 'bcachefs', 'zfs', 'tmpfs', 'ramfs', 'overlay'];
const NS_PER_MS = 1_000_000n;
const MS_PER_DAY = 86_400_000;

/** What was read in runs before, so that only files which have changed are read again. */
export class RememberedDigests {
  readonly #cache: DigestCache;
  readonly #today = Math.floor(Date.now() / MS_PER_DAY);
  readonly #fresh = new Map<string, FileDigest>();
  readonly #trustedDevices = new Map<string, boolean>();
  #known: Map<string, FileDigest> | undefined;

  /** @param root what those have in common that are asked for together: a context's directory */
  constructor(cacheDir: string, root: string, database = 'contexts.db') {
    const area = createHash('sha256').update(bytesOfName(root)).digest().readUIntBE(0, 6);
    this.#cache = new DigestCache(join(cacheDir, database), area);
  }

  /** The digest of a file as it is, or null. */
  find(identity: string): string | null {
    this.#known ??= this.#cache.load();
    const { file, stamp } = split(identity);
    const known = this.#known.get(file);
    if (known?.stamp !== stamp) return null;
    // Once a day is enough to tell what is still of use.
    if (known.used_on !== this.#today) this.#learn(identity, known.digest);
    return known.digest;
  }

  /**
   * Takes down what was read, unless it may change without a trace.
   * @param readFrom when the reading began, in milliseconds since the epoch
   */
  add(path: string, identity: string, digest: string, readFrom: number): void {
    const changed = BigInt(identity.slice(identity.lastIndexOf(':') + 1));
    if (changed + FRESH_NS > BigInt(Math.floor(readFrom)) * NS_PER_MS) return;
    if (this.#isTrusted(path, identity)) this.#learn(identity, digest);
  }

  /** Keeps what is new for later runs; when that cannot be done, they read again. */
  save(): void {
    if (this.#fresh.size === 0) return;
    this.#cache.save([...this.#fresh.values()], this.#today);
    this.#fresh.clear();
  }

  #learn(identity: string, digest: string): void {
    const row = { ...split(identity), digest, used_on: this.#today };
    this.#known?.set(row.file, row);
    this.#fresh.set(row.file, row);
  }

  /** Asked once of each device that a context's files are on. */
  #isTrusted(path: string, identity: string): boolean {
    const device = identity.slice(0, identity.indexOf(':'));
    let isTrusted = this.#trustedDevices.get(device);
    if (isTrusted === undefined) {
      isTrusted = TRUSTED.includes(filesystemOf(fsPath(dirname(path))).name);
      this.#trustedDevices.set(device, isTrusted);
    }
    return isTrusted;
  }
}

/** Which file it is, and what it is like: `identityOf` begins with device and inode. */
function split(identity: string): { file: string; stamp: string } {
  const end = identity.indexOf(':', identity.indexOf(':') + 1);
  return { file: identity.slice(0, end), stamp: identity.slice(end + 1) };
}
