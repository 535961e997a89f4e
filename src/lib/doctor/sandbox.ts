import { type Finding, fail, ok, warn } from '../finding.ts';
import {
  deviceFault,
  findTool,
  firstFreeSubordinate,
  mayChangeIds,
  namespaceFault,
  readSysctl,
  subordinateIds,
} from '../system/preflight.ts';
import { limitsFor } from '../system/sandbox-limits.ts';
import { oneLine } from '../text.ts';
import { asRoot, type Patient } from './patient.ts';

/** A guest has 65536 ids; the user's own is its root, so that many others are wanted at least. */
const WANTED_IDS = 65_535;
const RANGE = 65_536;

/** What the builder's sandbox needs of the kernel. */
export async function examineSandbox(patient: Patient, signal?: AbortSignal): Promise<Finding[]> {
  if (patient.uid === 0) return [await examineNamespaces(patient, signal), await examineLoop()];
  return [
    await examineSubordinates(patient),
    await examineMappers(),
    await examineNamespaces(patient, signal),
    await examineFuse(),
    ...fuseLimits(),
  ];
}

/** What root's builds can and an ordinary user's cannot. */
function fuseLimits(): Finding[] {
  return limitsFor('fuse')
    .filter((limit) => limit.for === 'fuse')
    .map(({ what }) => warn('fuse2fs limit', `in your builds ${what}`));
}

async function examineNamespaces(patient: Patient, signal?: AbortSignal): Promise<Finding> {
  const name = patient.uid === 0 ? 'namespaces' : 'user namespaces';
  const fault = await namespaceFault(patient.uid === 0 ? 'root' : 'user', signal);
  if (fault === null) return ok(name, 'can be made');
  const detail = `cannot be made: ${oneLine(fault)}`;
  if (patient.uid === 0) return fail(name, `${detail} (in a container? it needs CAP_SYS_ADMIN)`, null);
  const [setting] = await blockingSettings();
  return fail(name, detail, setting === undefined ? null : asRoot(patient, `sysctl -w ${setting}`));
}

/** Kernel settings that keep ordinary users from user namespaces, as they would have to be. */
async function blockingSettings(): Promise<string[]> {
  const wanted = [
    // Debian's own, gone from newer kernels.
    { name: 'kernel.unprivileged_userns_clone', bad: '0', good: '1' },
    { name: 'user.max_user_namespaces', bad: '0', good: '10000' },
    { name: 'kernel.apparmor_restrict_unprivileged_userns', bad: '1', good: '0' },
  ];
  const found = await Promise.all(
    wanted.map(async ({ name, bad, good }) => ((await readSysctl(name)) === bad ? [`${name}=${good}`] : [])),
  );
  return found.flat();
}

async function examineSubordinates(patient: Patient): Promise<Finding> {
  const name = 'subordinate ids';
  const files = [
    { file: '/etc/subuid', flag: '--add-subuids' },
    { file: '/etc/subgid', flag: '--add-subgids' },
  ];
  const missing: string[] = [];
  const shown: string[] = [];
  for (const { file, flag } of files) {
    const largest = (await subordinateIds(file, patient)).sort((a, b) => b.count - a.count)[0];
    if (largest !== undefined && largest.count >= WANTED_IDS) {
      shown.push(`${file} ${largest.first}-${largest.first + largest.count - 1}`);
      continue;
    }
    const first = await firstFreeSubordinate(file);
    missing.push(`${flag} ${first}-${first + RANGE - 1}`);
  }
  if (missing.length === 0) return ok(name, shown.join(', '));
  const detail = `${patient.name} has no ${RANGE} of them: needed for the users and groups inside an image`;
  return fail(name, detail, asRoot(patient, `usermod ${missing.join(' ')} ${patient.name}`));
}

async function examineMappers(): Promise<Finding> {
  const paths = await Promise.all(['newuidmap', 'newgidmap'].map((tool) => findTool(tool)));
  const present = paths.filter((path) => path !== null);
  const allowed = await Promise.all(present.map(mayChangeIds));
  const powerless = present.filter((_, index) => !allowed[index]);
  if (powerless.length === 0) return ok('id mapping', 'newuidmap and newgidmap may change ids');
  return fail(
    'id mapping',
    `${powerless.join(' and ')} may not change ids: the setuid bit is missing`,
    `sudo chmod u+s ${powerless.join(' ')}`,
  );
}

async function examineFuse(): Promise<Finding> {
  const fault = await deviceFault('/dev/fuse');
  if (fault === null) return ok('FUSE', '/dev/fuse opens');
  if (fault === 'ENOENT' || fault === 'ENODEV' || fault === 'ENXIO') {
    return fail(
      'FUSE',
      '/dev/fuse is missing: needed to mount images without being root',
      'sudo modprobe fuse',
    );
  }
  // udev opens it to everybody; where none runs, the kernel's 0600 stays.
  return fail('FUSE', `/dev/fuse does not open (${fault})`, 'sudo chmod 0666 /dev/fuse');
}

async function examineLoop(): Promise<Finding> {
  const fault = await deviceFault('/dev/loop-control');
  if (fault === null) return ok('loop devices', '/dev/loop-control opens');
  const mend = fault === 'ENOENT' || fault === 'ENODEV' ? 'modprobe loop' : null;
  return fail('loop devices', `/dev/loop-control does not open (${fault}): needed to mount images`, mend);
}
