import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import type { Home } from './cli.ts';
import { fakeBzImage, makeModules } from './images.ts';

export interface BootFiles {
  rootfs: string;
  kernel: string;
  modules: string;
  /** `--rootfs` and `--kernel`, as `image register` wants them. */
  flags: string[];
}

/** A boot set of a few KiB in a home, made in a few milliseconds: an ext4 with nothing in it, a kernel's headers, a module. */
export async function makeBootFiles(home: Home, name = 'little'): Promise<BootFiles> {
  const rootfs = await makeDisk(home, `${name}.ext4`);
  const kernel = await home.write(`${name}.vmlinuz`, fakeBzImage());
  const modules = await makeModules(join(home.directory, `${name}.modules`));
  return { rootfs, kernel, modules, flags: ['--rootfs', rootfs, '--kernel', kernel] };
}

/** Registers a boot set of its own under a name. */
export async function registerImage(
  home: Home,
  name: string,
  more: readonly string[] = [],
): Promise<BootFiles> {
  const files = await makeBootFiles(home, name);
  await home.ok(['image', 'register', name, ...files.flags, ...more]);
  return files;
}

/** An ext4 of 8 MiB with files in it, all of them root's; returns its path. */
export async function makeDisk(
  home: Home,
  name: string,
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  const path = join(home.directory, name);
  const tree = await mkdtemp(join(home.directory, 'tree-'));
  try {
    for (const [file, content] of Object.entries(files)) {
      await mkdir(join(tree, dirname(file)), { recursive: true, mode: 0o700 });
      await writeFile(join(tree, file), content, { mode: 0o600 });
    }
    // mke2fs copies owners as it sees them.
    const mapped = process.getuid?.() === 0 ? [] : ['unshare', '--map-root-user'];
    const make = [
      'mke2fs',
      '-q',
      '-F',
      ...['-t', 'ext4'],
      ...['-d', tree],
      ...['-E', 'root_owner=0:0'],
      path,
      '8M',
    ];
    const [file = 'sh', ...args] = [...mapped, 'sh', '-c', 'chmod 0755 "$0"; exec "$@"', tree, ...make];
    await run(file, args);
  } finally {
    await rm(tree, { recursive: true });
  }
  await chown(path, home.account.uid, home.account.gid);
  return path;
}
