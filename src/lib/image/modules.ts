import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { busyboxBind, guestCopyCommand, testDirectoryCommand } from './guest-copy.ts';
import { type Provisioning, runCommand } from './provision.ts';

/** The modules of one kernel: what the guest wants at /lib/modules/<version>. */
export interface ModuleTree {
  version: string;
  path: string;
}

const VERSION = /^[0-9][A-Za-z0-9._+~-]*$/u;

/**
 * The trees in a modules directory, which may be one itself (with its modules.dep) or hold one for each kernel, as
 * /lib/modules does. One itself is named after its version (`…/6.1.0-18-amd64`), or, as in a managed image, is for the
 * kernel that it stands beside.
 * @param kernelVersion null where the kernel does not tell
 */
export async function moduleTreesIn(directory: string, kernelVersion: string | null): Promise<ModuleTree[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  if (entries.some((entry) => entry.name.startsWith('modules.') || entry.name === 'kernel')) {
    const name = basename(directory);
    const version = VERSION.test(name) ? name : kernelVersion;
    return version !== null && VERSION.test(version) ? [{ version, path: directory }] : [];
  }
  return entries
    .filter((entry) => entry.isDirectory() && VERSION.test(entry.name))
    .map((entry) => ({ version: entry.name, path: join(directory, entry.name) }));
}

/**
 * Puts modules into the mounted rootfs as /lib/modules/<version>, each that is not there yet.
 * @returns the versions that the rootfs now has
 */
export async function installModules(
  directory: string,
  kernelVersion: string | null,
  context: Provisioning,
): Promise<string[]> {
  const trees = await moduleTreesIn(directory, kernelVersion);
  for (const { version, path } of trees) {
    const target = `/lib/modules/${version}`;
    const present = await context.sandbox.run(testDirectoryCommand(target), {
      binds: [busyboxBind(context.busybox)],
    });
    if (present.exitCode === 0) continue;
    await runCommand(`modules ${version}`, guestCopyCommand(context.busybox, path, target, version), context);
  }
  return trees.map(({ version }) => version);
}
