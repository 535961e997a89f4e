import { builtinModules } from '../machine/builtin-modules.ts';
import { moduleOfFile } from '../machine/module-info.ts';
import type { UnpackedEntry } from '../system/cpio-reader.ts';
import { textOfName } from '../system/file-name.ts';
import { type InitrdOptions, readInitrd } from '../system/initrd-content.ts';

/** What an initrd brings for the drivers of a kernel. */
export interface InitrdModules {
  /** How many files, directories and links it has. */
  entries: number;
  /** Whether it has what a kernel starts in it; without, it is passed over (init/main.c, kernel_init_freeable). */
  hasInit: boolean;
  /** Which of the modules that were looked for it has, for that kernel or for one that it does not name. */
  found: ReadonlySet<string>;
  /** Other kernels whose modules it has. */
  otherVersions: readonly string[];
  /** What the kernel has built in, as its `modules.builtin` there says; null without one. */
  builtin: ReadonlySet<string> | null;
  /** It holds a filesystem or an archive in a file, in which more may be. */
  isOpaque: boolean;
}

/** The largest `modules.builtin` that is believed; Debian's has 5 KB, an all-built-in one's some 100, in bytes. */
export const MAX_BUILTIN_BYTES = 1024 * 1024;

const INIT = /^(?:\.?\/)?init$/u;
const OWN_DIRECTORY = /(?:^|\/)lib\/modules\/([^/]+)\/(.+)$/u;
/** As what dracut packs a system into (dracut.conf(5), squash): what is in there is no entry of the archive. */
const PACKED = /\.(?:img|squashfs|sqfs|erofs|tar|cpio)(?:\.[a-z0-9]+)?$/u;
const MAX_VERSIONS = 5;

/**
 * Looks for modules in an initrd.
 * @param version of the kernel; null: whichever there is
 * @throws BangerError as readInitrd
 */
export async function readInitrdModules(
  path: string,
  version: string | null,
  wanted: readonly string[],
  options: InitrdOptions = {},
): Promise<InitrdModules> {
  const found = new Set<string>();
  const others = new Set<string>();
  let [entries, hasInit, isOpaque] = [0, false, false];
  let builtin: ReadonlySet<string> | null = null;
  for await (const entry of readInitrd(path, options)) {
    entries += 1;
    if (entry.type === 'directory' || entry.type === 'other') continue;
    const name = textOfName(entry.name);
    if (INIT.test(name)) hasInit = true;
    if (PACKED.test(name)) isOpaque = true;
    // A small one keeps them elsewhere, and has those of one kernel alone.
    const [, of = version, file = name] = OWN_DIRECTORY.exec(name) ?? [];
    if (version !== null && of !== null && of !== version) {
      if (others.size < MAX_VERSIONS) others.add(of);
      continue;
    }
    const module = moduleOfFile(file);
    if (module !== null && wanted.includes(module)) found.add(module);
    if (file === 'modules.builtin') builtin = (await builtinOf(entry)) ?? builtin;
  }
  return { entries, hasInit, found, otherVersions: [...others], builtin, isOpaque };
}

/** An empty one was cut short: it would say that nothing is built in. */
async function builtinOf({ type, size, content }: UnpackedEntry): Promise<ReadonlySet<string> | null> {
  if (type !== 'file' || size === 0 || size > MAX_BUILTIN_BYTES) return null;
  const pieces: Buffer[] = [];
  for await (const piece of content()) pieces.push(piece);
  return builtinModules(Buffer.concat(pieces).toString('latin1'));
}
