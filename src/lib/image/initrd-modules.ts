import { textOfName } from '../system/file-name.ts';
import { readInitrd } from '../system/initrd-content.ts';
import { builtinModules, MAX_BUILTIN_BYTES, moduleOf } from './module-name.ts';

/** What an initrd brings for the drivers of a kernel. */
export interface InitrdModules {
  /** How many files, directories and links it has. */
  entries: number;
  /** Which of the modules that were looked for it has, for that kernel. */
  found: ReadonlySet<string>;
  /** Other kernels whose modules it has. */
  otherVersions: readonly string[];
  /** What the kernel has built in, as its `modules.builtin` there says; null without one. */
  builtin: ReadonlySet<string> | null;
  /** It holds a filesystem in a file, in which more may be. */
  isOpaque: boolean;
}

const MODULE_FILE = /(?:^|\/)lib\/modules\/([^/]+)\/(.+)$/u;
/** What dracut packs a system into (dracut.conf(5), squash): what is in there is no entry of the archive. */
const PACKED_ROOT = /(?:^|\/)(?:squashfs-root|squash-root|erofs-root)\.img$/u;
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
  options: { signal?: AbortSignal } = {},
): Promise<InitrdModules> {
  const found = new Set<string>();
  const others = new Set<string>();
  let [entries, builtin, isOpaque] = [0, null as ReadonlySet<string> | null, false];
  for await (const { type, name: bytes, size, content } of readInitrd(path, options)) {
    entries += 1;
    if (type === 'directory' || type === 'other') continue;
    const name = textOfName(bytes);
    if (PACKED_ROOT.test(name)) isOpaque = true;
    const [, of, file] = MODULE_FILE.exec(name) ?? [];
    if (of === undefined || file === undefined) continue;
    if (version !== null && of !== version) {
      if (others.size < MAX_VERSIONS) others.add(of);
      continue;
    }
    const module = moduleOf(file);
    if (module !== null && wanted.includes(module)) found.add(module);
    if (file === 'modules.builtin' && type === 'file' && size > 0 && size <= MAX_BUILTIN_BYTES) {
      const pieces: Buffer[] = [];
      for await (const piece of content()) pieces.push(piece);
      builtin = builtinModules(Buffer.concat(pieces));
    }
  }
  return { entries, found, otherVersions: [...others], builtin, isOpaque };
}
