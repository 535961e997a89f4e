import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { lookup, readFile } from '../ext4/lookup.ts';
import type { Volume } from '../ext4/volume.ts';
import { DRIVERS } from '../machine/initramfs.ts';
import { moduleName, moduleOfFile } from '../machine/module-info.ts';
import { textOfName } from '../system/file-name.ts';
import { readInitrd } from '../system/initrd-content.ts';

/** modules.dep of Debian's largest kernel has 700 KB; bytes. */
const MAX_LIST_BYTES = 8 * 2 ** 20;
/** The largest module that a machine needs, ext4, has 2 MB unpacked; bytes. */
const MAX_MODULE_BYTES = 32 * 2 ** 20;

/**
 * Takes the drivers that a machine needs out of a root filesystem, with all that they depend on (modules.dep, depmod(8)).
 * @param directory is made
 * @returns false where it has none of that kernel
 * @throws BangerError `corrupt`
 */
export async function extractDrivers(volume: Volume, version: string, directory: string): Promise<boolean> {
  const root = `/lib/modules/${version}`;
  const list = textOf(volume, `${root}/modules.dep`);
  if (list === null) return false;
  await mkdir(directory);
  const builtIn = textOf(volume, `${root}/modules.builtin`);
  if (builtIn !== null) await writeFile(join(directory, 'modules.builtin'), builtIn);
  const wanted = new Set(DRIVERS.map(moduleName));
  const paths = new Set<string>();
  for (const line of list.split('\n')) {
    const [path = '', depends = ''] = line.split(':');
    if (!wanted.has(moduleOfFile(path) ?? '')) continue;
    for (const one of [path, ...depends.split(' ')]) if (one !== '') paths.add(one);
  }
  for (const path of paths) {
    const content = readFile(volume, `${root}/${path}`, { limit: MAX_MODULE_BYTES });
    if (content !== null) await writeFile(join(directory, basename(path)), content);
  }
  return true;
}

/**
 * The same from an initrd, with all other modules of that kernel: nothing there tells what depends on what.
 * @throws BangerError as readInitrd
 */
export async function extractInitrdDrivers(
  path: string,
  version: string | null,
  directory: string,
  signal: AbortSignal,
): Promise<boolean> {
  let hasAny = false;
  for await (const { name, type, size, content } of readInitrd(path, { signal })) {
    if (type !== 'file' || size > MAX_MODULE_BYTES) continue;
    const text = textOfName(name);
    const of = /(?:^|\/)lib\/modules\/([^/]+)\//u.exec(text)?.[1];
    if (moduleOfFile(text) === null || (of !== undefined && version !== null && of !== version)) continue;
    if (!hasAny) await mkdir(directory);
    hasAny = true;
    await writeFile(join(directory, basename(text)), content());
  }
  return hasAny;
}

function textOf(volume: Volume, path: string): string | null {
  if (lookup(volume, path, { follow: true })?.type !== 'file') return null;
  return readFile(volume, path, { limit: MAX_LIST_BYTES })?.toString('latin1') ?? null;
}
