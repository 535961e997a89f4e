import { type Finding, fail, ok, warn } from '../finding.ts';
import { findTool, toolVersion } from '../system/preflight.ts';
import { asRoot, type Patient } from './patient.ts';

interface ToolSet {
  /** The Debian package that brings them. */
  package: string;
  tools: readonly string[];
  /** The tool that knows the version, and how to ask it. */
  version?: readonly [tool: string, ...args: string[]];
  needed: 'always' | 'by ordinary users' | 'for some' | 'for machines';
  /** What cannot be done without them. */
  use: string;
}

const TOOL_SETS: readonly ToolSet[] = [
  {
    package: 'e2fsprogs',
    tools: ['mke2fs', 'e2fsck', 'resize2fs', 'debugfs'],
    version: ['mke2fs', '-V'],
    needed: 'always',
    use: 'make and check filesystems',
  },
  {
    package: 'util-linux',
    tools: ['setpriv', 'unshare', 'nsenter', 'mountpoint'],
    version: ['unshare', '--version'],
    needed: 'always',
    use: 'start programs, make namespaces',
  },
  {
    package: 'mount',
    tools: ['mount', 'umount'],
    version: ['mount', '--version'],
    needed: 'always',
    use: 'mount images in a namespace of their own',
  },
  {
    package: 'bubblewrap',
    tools: ['bwrap'],
    version: ['bwrap', '--version'],
    needed: 'always',
    use: 'run the steps of a build',
  },
  {
    package: 'openssh-client',
    tools: ['ssh-keygen'],
    version: ['ssh', '-V'],
    needed: 'always',
    use: 'make the SSH key, take its fingerprint',
  },
  {
    package: 'fuse2fs',
    tools: ['fuse2fs'],
    version: ['fuse2fs', '-V'],
    needed: 'by ordinary users',
    use: 'mount images without being root',
  },
  {
    package: 'uidmap',
    tools: ['newuidmap', 'newgidmap'],
    needed: 'by ordinary users',
    use: 'map subordinate ids',
  },
  {
    package: 'mmdebstrap',
    tools: ['mmdebstrap'],
    version: ['mmdebstrap', '--version'],
    needed: 'for some',
    use: 'banger image bootstrap --flavor debian',
  },
  {
    package: 'busybox-static',
    tools: ['busybox'],
    version: ['busybox'],
    needed: 'always',
    use: 'copy files into images',
  },
  {
    package: 'qemu-system-x86',
    tools: ['qemu-system-x86_64'],
    version: ['qemu-system-x86_64', '--version'],
    needed: 'for machines',
    use: 'boot images, build in virtual machines',
  },
  {
    package: 'zstd',
    tools: ['zstd'],
    version: ['zstd', '--version'],
    needed: 'for some',
    use: 'unpack what Debian packs with it',
  },
  {
    package: 'xz-utils',
    tools: ['xz'],
    version: ['xz', '--version'],
    needed: 'for some',
    use: 'unpack what Debian packs with it',
  },
];

/** What a package of the program should depend on, what it should recommend, and what it should suggest. */
export function toolPackages(): { needed: string[]; useful: string[]; suggested: string[] } {
  const names = (wanted: (set: ToolSet) => boolean): string[] =>
    TOOL_SETS.filter(wanted)
      .map((set) => set.package)
      .sort();
  return {
    needed: names(({ needed }) => needed === 'always'),
    useful: names(({ needed }) => needed === 'by ordinary users' || needed === 'for some'),
    suggested: names(({ needed }) => needed === 'for machines'),
  };
}

/** One finding a package: its tools are there, or which are not and what they are for. */
export async function examineTools(patient: Patient, signal?: AbortSignal): Promise<Finding[]> {
  const sets = TOOL_SETS.filter(({ needed }) => needed !== 'by ordinary users' || patient.uid !== 0);
  return Promise.all(sets.map((set) => examineSet(set, patient, signal)));
}

async function examineSet(set: ToolSet, patient: Patient, signal?: AbortSignal): Promise<Finding> {
  const paths = await Promise.all(set.tools.map((tool) => findTool(tool)));
  const missing = set.tools.filter((_, index) => paths[index] === null);
  if (missing.length > 0) {
    const detail = `no ${missing.join(', ')}: needed to ${set.use}`.replace('to banger', 'for banger');
    const mend = asRoot(patient, `apt-get install ${set.package}`);
    return set.needed === 'for some' || set.needed === 'for machines'
      ? warn(set.package, detail, mend)
      : fail(set.package, detail, mend);
  }
  const [tool, ...args] = set.version ?? [];
  const version = tool === undefined ? null : await toolVersion(tool, args, signal);
  return ok(set.package, [version, paths.join(' ')].filter((part) => part !== null).join('  '));
}
