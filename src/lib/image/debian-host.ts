import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FaultList } from '../errors.ts';
import { readAptSources } from '../system/apt-sources.ts';
import { findTool, namespaceFault } from '../system/preflight.ts';
import { run } from '../system/process.ts';
import { oneLine } from '../text.ts';
import { parseOsRelease, type SourcesHost } from './debian-sources.ts';

/** How the caller tells a user to give what could not be told from this machine. */
export interface DebianMends {
  size: string;
  mirror: string;
  suite: string;
}

/** Tools by the Debian package that has them. */
const TOOLS: readonly [tool: string, debianPackage: string][] = [
  ['mmdebstrap', 'mmdebstrap'],
  ['apt-get', 'apt'],
  ['dpkg', 'dpkg'],
  ['mke2fs', 'e2fsprogs'],
  ['debugfs', 'e2fsprogs'],
  ['unshare', 'util-linux'],
  ['hostname', 'hostname'],
];
const KEYRINGS = ['debian-archive-keyring.gpg', 'ubuntu-archive-keyring.gpg'].map((name) =>
  join('/usr/share/keyrings', name),
);

/** Adds what a bootstrap finds missing on this machine: tools, and the right to make namespaces. */
export async function checkDebianHost(faults: FaultList): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  const sudo = isRoot ? '' : 'sudo ';
  const wanted = isRoot ? TOOLS : [...TOOLS, ['newuidmap', 'uidmap'] as const];
  const missing = [];
  for (const [tool, debianPackage] of wanted) {
    if ((await findTool(tool)) === null) missing.push({ tool, debianPackage });
  }
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))].join(' ');
    for (const { tool } of missing)
      faults.add(`${tool} is not installed`, `${sudo}apt-get install ${packages}`);
  } else {
    const fault = await namespaceFault(isRoot ? 'root' : 'user');
    if (fault !== null) faults.add(`namespaces cannot be made: ${oneLine(fault)}`, 'banger doctor');
  }
}

/** What this machine's apt is configured with, and what it is. */
export async function readSourcesHost(): Promise<SourcesHost> {
  const [sources, osRelease, keyrings] = await Promise.all([
    readAptSources(),
    readFile('/etc/os-release', 'utf8').catch(() => ''),
    Promise.all(KEYRINGS.map(async (path) => ((await isReadable(path)) ? [path] : []))),
  ]);
  const dpkg =
    (await findTool('dpkg')) === null ? '' : (await run('dpkg', ['--print-architecture'])).stdout.trim();
  const architecture = dpkg === '' ? (ARCHITECTURES[process.arch] ?? process.arch) : dpkg;
  return { sources, osRelease: parseOsRelease(osRelease), keyrings: keyrings.flat(), architecture };
}

/** Node's names and dpkg's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64' };

async function isReadable(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    () => false,
  );
}
