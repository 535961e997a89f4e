import { chmod, copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf } from '../errors.ts';
import { readConnectionSettings, readCredentials } from '../system/apt-settings.ts';
import { type AptSource, formatDeb822Sources } from '../system/apt-sources.ts';
import { makeDirectories, writeGuestFiles } from './debian-guest.ts';
import type { HookFiles } from './debian-hooks.ts';
import type { ChosenSources } from './debian-sources.ts';

/** Everything that a bootstrap is given, in a directory that goes away after it. */
export interface Workshop extends HookFiles {
  /** Where the root is mounted. */
  mountpoint: string;
  /** For mmdebstrap; the guest keeps the same. */
  sourcesFile: string;
}

/** Lays the files of a bootstrap out anew. Those with secrets are for their owner alone. */
export async function prepareWorkshop(
  directory: string,
  { distribution, sources, credentials }: ChosenSources,
  signal: AbortSignal,
): Promise<Workshop> {
  await rm(directory, { recursive: true, force: true });
  const workshop: Workshop = {
    mountpoint: join(directory, 'root'),
    sourcesFile: join(directory, 'debian.sources'),
    aptSettings: join(directory, 'apt.conf'),
    credentials: join(directory, 'credentials'),
    guestFiles: join(directory, 'guest'),
    keyrings: join(directory, 'keyrings'),
  };
  await mkdir(directory, { mode: 0o700 });
  await mkdir(workshop.mountpoint);
  await mkdir(workshop.keyrings, { mode: 0o755 });
  const text = formatDeb822Sources(sources);
  await writeFile(workshop.sourcesFile, text);
  await writeFile(workshop.aptSettings, await readConnectionSettings(signal), { mode: 0o600 });
  await writeFile(workshop.credentials, (await readCredentials()) + credentials, { mode: 0o600 });
  await writeGuestFiles(workshop.guestFiles, { hostname: distribution, sources: text });
  for (const path of keyringsOf(sources)) await copyKeyring(path, workshop.keyrings);
  return workshop;
}

/** Paths of keyrings that entries name; a key may also stand in the entry itself. */
function keyringsOf(sources: readonly AptSource[]): string[] {
  const paths = sources.flatMap(({ options }) => (options.get('signed-by') ?? '').split(/\s+/u));
  return [...new Set(paths.filter((path) => path.startsWith('/')))];
}

/** One that is not there is for apt to complain of. */
async function copyKeyring(path: string, tree: string): Promise<void> {
  await makeDirectories(tree, dirname(path));
  const copy = join(tree, path);
  try {
    await copyFile(path, copy);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  await chmod(copy, 0o644);
}
