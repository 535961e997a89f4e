import { join } from 'node:path';
import { BangerError, errnoOf } from '../errors.ts';
import { childInode, childNames, textOfChild } from '../ext4/children.ts';
import { lookup, readFile } from '../ext4/lookup.ts';
import type { Volume } from '../ext4/volume.ts';
import { builtinModules } from '../machine/builtin-modules.ts';
import { openRegular } from '../system/regular-file.ts';
import { oneLine } from '../text.ts';
import { MAX_BUILTIN_BYTES } from './initrd-modules.ts';
import { moduleTreesIn } from './modules.ts';

/** /boot/config-<version>; Debian's has 250 KB, in bytes. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;
/** As directories of /lib/modules are named; none leads elsewhere. */
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+~-]*$/u;

/** What a root filesystem says of kernels and their modules. */
export interface GuestModules {
  /** Kernels that have a directory in /lib/modules. */
  versions: readonly string[];
  /** Whether depmod has listed those of the kernel that was asked for. */
  isListed: boolean;
  /** What that kernel has built in, by its `modules.builtin`; null without one. */
  builtin: ReadonlySet<string> | null;
  /** Its configuration; null without one. */
  config: string | null;
}

/** @throws BangerError `corrupt`; `preflight_failed` for what is encrypted */
export function readGuestModules(volume: Volume, version: string | null): GuestModules {
  const own = version !== null && VERSION.test(version) ? version : null;
  const directory = `/lib/modules/${own}`;
  return {
    versions: versionsIn(volume),
    isListed: own !== null && lookup(volume, `${directory}/modules.dep`, { follow: true }) !== null,
    builtin: own === null ? null : builtinOf(read(volume, `${directory}/modules.builtin`, MAX_BUILTIN_BYTES)),
    config:
      own === null
        ? null
        : (read(volume, `/boot/config-${own}`, MAX_CONFIG_BYTES)?.toString('latin1') ?? null),
  };
}

function versionsIn(volume: Volume): string[] {
  const modules = lookup(volume, '/lib/modules', { follow: true });
  if (modules?.type !== 'directory') return [];
  return childNames(volume, modules)
    .filter(({ number }) => childInode(volume, modules, number).type === 'directory')
    .map(({ name }) => textOfChild(name));
}

/** Null also for a file that is too large to be what its name says. */
function read(volume: Volume, path: string, limit: number): Buffer | null {
  const inode = lookup(volume, path, { follow: true });
  return inode !== null && inode.size <= limit ? readFile(volume, path, { limit }) : null;
}

/** An empty one was cut short: it would say that nothing is built in. */
function builtinOf(content: Buffer | null): ReadonlySet<string> | null {
  return content === null || content.length === 0 ? null : builtinModules(content.toString('latin1'));
}

/** What an image's own directory of modules says of a kernel. */
export interface OwnModules {
  hasVersion: boolean;
  /** What the kernel has built in; null where that is not said. */
  builtin: ReadonlySet<string> | null;
}

/** @throws BangerError `preflight_failed` when the directory cannot be read */
export async function readOwnModules(directory: string, version: string | null): Promise<OwnModules> {
  try {
    const trees = await moduleTreesIn(directory, version);
    const own = trees.find((tree) => tree.version === version);
    const content = own === undefined ? null : readHostFile(join(own.path, 'modules.builtin'));
    return { hasVersion: own !== undefined, builtin: builtinOf(content) };
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    const why = errno === 'ENOENT' ? 'does not exist' : `cannot be read (${errno})`;
    const message = `modules directory ${oneLine(directory)} ${why}`;
    throw new BangerError('preflight_failed', message, { cause: error });
  }
}

function readHostFile(path: string): Buffer | null {
  try {
    const file = openRegular(path);
    try {
      return file.size > MAX_BUILTIN_BYTES ? null : file.readAt(0, file.size);
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof BangerError) return null;
    throw error;
  }
}
