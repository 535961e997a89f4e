import { userInfo } from 'node:os';
import { type Fault, FaultList } from '../errors.ts';
import { oneLine } from '../text.ts';
import {
  deviceFault,
  findTool,
  firstFreeSubordinate,
  namespaceFault,
  readSysctl,
  subordinateIds,
} from './preflight.ts';
import type { MountKind } from './sandbox-holder.ts';

/** Programs of the sandbox and the Debian packages that have them. */
const TOOLS: Readonly<Record<string, string>> = {
  bash: 'bash',
  bwrap: 'bubblewrap',
  mount: 'mount',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  umount: 'mount',
  unshare: 'util-linux',
};
const FUSE_TOOLS: Readonly<Record<string, string>> = {
  fuse2fs: 'fuse2fs',
  mountpoint: 'util-linux',
  newgidmap: 'uidmap',
  newuidmap: 'uidmap',
};

/** The guest's ids 1 to 65535, whose 0 is the user's own. */
const WANTED_IDS = 65_535;
const RANGE = 65_536;

/** Kernel settings that keep ordinary users from user namespaces, and what they have to be instead. */
const NAMESPACE_SETTINGS = [
  { name: 'kernel.unprivileged_userns_clone', bad: '0', good: '1' }, // Debian's own, gone from newer kernels
  { name: 'user.max_user_namespaces', bad: '0', good: '10000' },
  { name: 'kernel.apparmor_restrict_unprivileged_userns', bad: '1', good: '0' },
];

/** How images are mounted for whoever we are. */
export function mountKind(): MountKind {
  return process.geteuid?.() === 0 ? 'loop' : 'fuse';
}

/** What the sandbox's programs lack, found in well under a millisecond each. */
export async function missingTools(kind: MountKind): Promise<Fault[]> {
  const tools = Object.entries(kind === 'fuse' ? { ...TOOLS, ...FUSE_TOOLS } : TOOLS);
  const present = await Promise.all(tools.map(([name]) => findTool(name)));
  const missing = tools.filter((_, index) => present[index] === null);
  if (missing.length === 0) return [];
  const packages = [...new Set(missing.map(([, name]) => name))].sort();
  const verb = missing.length === 1 ? 'is' : 'are';
  return [
    {
      message: `${missing.map(([name]) => name).join(', ')} ${verb} not installed`,
      mend: `${asRoot(kind)}apt-get install ${packages.join(' ')}`,
    },
  ];
}

/** What the sandbox lacks as far as files tell, without starting anything: programs, subordinate ids, devices. */
export async function checkSandboxTools(): Promise<Fault[]> {
  const kind = mountKind();
  const faults = new FaultList();
  if (kind === 'fuse') {
    await checkSubordinateIds(faults);
    await checkDevice('/dev/fuse', 'fuse', faults);
  } else {
    await checkDevice('/dev/loop-control', 'loop', faults);
  }
  return [...(await missingTools(kind)), ...faults.faults];
}

/** Everything that keeps this machine from mounting an image and running steps in it, each with its mend. */
export async function checkSandbox(signal?: AbortSignal): Promise<Fault[]> {
  const found = await checkSandboxTools();
  // Without its tools or ids the trial would only fail for that again.
  if (found.length > 0) return found;
  const faults = new FaultList();
  await checkNamespaces(mountKind(), faults, signal);
  return [...faults.faults];
}

function asRoot(kind: MountKind): string {
  return kind === 'fuse' ? 'sudo ' : '';
}

/** A number stands for itself where no passwd(5) knows it. */
function whoWeAre(): { name: string; uid: number } {
  const uid = process.geteuid?.() ?? 0;
  try {
    return { name: userInfo().username, uid };
  } catch {
    return { name: String(uid), uid };
  }
}

async function checkSubordinateIds(faults: FaultList): Promise<void> {
  const { name, uid } = whoWeAre();
  for (const { file, flag } of [
    { file: '/etc/subuid', flag: '--add-subuids' },
    { file: '/etc/subgid', flag: '--add-subgids' },
  ]) {
    const ranges = await subordinateIds(file, { name, uid });
    if (ranges.some(({ count }) => count >= WANTED_IDS)) continue;
    const first = await firstFreeSubordinate(file);
    faults.add(
      `${file} has no range of ${RANGE} ids for ${name}: they become the users and groups inside an image`,
      `sudo usermod ${flag} ${first}-${first + RANGE - 1} ${name}`,
    );
  }
}

async function checkDevice(path: string, module: string, faults: FaultList): Promise<void> {
  const fault = await deviceFault(path);
  if (fault === null) return;
  const missing = fault === 'ENOENT' || fault === 'ENODEV' || fault === 'ENXIO';
  const sudo = asRoot(mountKind());
  // udev opens /dev/fuse to everybody; where none runs, the kernel's 0600 stays.
  const mend = missing
    ? `${sudo}modprobe ${module}`
    : `${sudo}chmod ${sudo === '' ? '0600' : '0666'} ${path}`;
  faults.add(
    `${path} ${missing ? 'is missing' : `does not open (${fault})`}: images are mounted by it`,
    mend,
  );
}

async function checkNamespaces(kind: MountKind, faults: FaultList, signal?: AbortSignal): Promise<void> {
  const fault = await namespaceFault(kind === 'fuse' ? 'user' : 'root', signal);
  if (fault === null) return;
  if (kind === 'loop') {
    faults.add(`namespaces cannot be made: ${oneLine(fault)}`, 'give the container CAP_SYS_ADMIN');
    return;
  }
  let mend = 'see user_namespaces(7)';
  for (const { name, bad, good } of NAMESPACE_SETTINGS) {
    if ((await readSysctl(name)) === bad) mend = `sudo sysctl -w ${name}=${good}`;
  }
  faults.add(`user namespaces cannot be made: ${oneLine(fault)}`, mend);
}
