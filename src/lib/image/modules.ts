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
 * The trees in a modules directory, which may be one itself (`…/6.1.0-18-amd64` with its modules.dep) or hold one for
 * each kernel, as /lib/modules does.
 */
export async function moduleTreesIn(directory: string): Promise<ModuleTree[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const name = basename(directory);
  if (
    VERSION.test(name) &&
    entries.some((entry) => entry.name.startsWith('modules.') || entry.name === 'kernel')
  ) {
    return [{ version: name, path: directory }];
  }
  return entries
    .filter((entry) => entry.isDirectory() && VERSION.test(entry.name))
    .map((entry) => ({ version: entry.name, path: join(directory, entry.name) }));
}

/** Puts modules into the mounted rootfs as /lib/modules/<version>, each that is not there yet. */
export async function installModules(directory: string, context: Provisioning): Promise<void> {
  for (const { version, path } of await moduleTreesIn(directory)) {
    const target = `/lib/modules/${version}`;
    const present = await context.sandbox.run(testDirectoryCommand(target), {
      binds: [busyboxBind(context.busybox)],
    });
    if (present.exitCode === 0) continue;
    await runCommand(`modules ${version}`, guestCopyCommand(context.busybox, path, target, version), context);
  }
}
