import { oneLine } from '../text.ts';
import type { Fstab, FstabEntry } from './fstab.ts';

/** What a disk of an image is found by. */
export interface DiskName {
  uuid: string;
  /** Empty when it has none. */
  label: string;
}

/** What there is when a guest boots. */
export interface FstabGround {
  rootfs: DiskName;
  workSeed: DiskName | null;
  /** Whether the root filesystem has something under that path. */
  isThere: (path: string) => boolean;
}

export interface FstabFault {
  line: number;
  /** Whether a boot waits for it in vain, or ends at it; else something is merely not mounted as it should be. */
  stopsBoot: boolean;
  detail: string;
}

/** As in the boot of a microVM with the disks of an image: the root filesystem is the first, the work seed the second. */
const ROOT_DEVICES = ['/dev/vda', '/dev/root'];
const SEED_DEVICE = '/dev/vdb';
/** A boot neither waits for these nor fails with them: fstab(5), systemd.mount(5). */
const HARMLESS = ['noauto', 'nofail', 'x-systemd.automount', 'comment=systemd.automount'];
/** Of the kernel's own making, without a device. */
const KERNEL_TYPES =
  'autofs bpf binfmt_misc cgroup cgroup2 configfs debugfs devpts devtmpfs fusectl hugetlbfs ignore mqueue proc pstore ramfs rootfs securityfs sysfs tmpfs tracefs'.split(
    ' ',
  );
/** systemd, src/basic/mountpoint-util.c, fstype_is_network. */
const NETWORK_TYPES =
  'afs ceph cifs davfs fuse.glusterfs fuse.sshfs gfs gfs2 glusterfs lustre ncp ncpfs nfs nfs4 ocfs2 orangefs pvfs2 smb3 smbfs sshfs'.split(
    ' ',
  );
/** What a host lends, if it is told to. */
const SHARE_TYPES = ['9p', 'virtiofs'];
const DISK_TYPES = ['auto', 'ext2', 'ext3', 'ext4'];
/** What is there only once a guest runs. */
const LIVE_DIRECTORIES = ['/dev', '/proc', '/run', '/sys', '/tmp'];

/** What a boot with this image's disks, and no others, would stumble over. */
export function fstabFaults({ entries, malformed }: Fstab, ground: FstabGround): FstabFault[] {
  return [
    ...malformed.map((line) => ({
      line,
      stopsBoot: false,
      detail: 'is no entry of an fstab: it is ignored',
    })),
    ...entries.flatMap((entry) => faultsOf(entry, entries, ground)),
  ].sort((a, b) => a.line - b.line);
}

function faultsOf(entry: FstabEntry, entries: readonly FstabEntry[], ground: FstabGround): FstabFault[] {
  const { line, source, target } = entry;
  const fatal = entry.options.some((option) => HARMLESS.includes(option))
    ? null
    : fatalFault(entry, entries, ground);
  if (fatal !== null) return [{ line, stopsBoot: true, detail: fatal }];
  if (target === '/root' && ground.workSeed !== null && diskOf(source, ground) !== 'work seed') {
    const detail = `mounts ${oneLine(source)} at /root, where the work seed belongs`;
    return [{ line, stopsBoot: false, detail }];
  }
  return [];
}

function fatalFault(
  { source, target, type, options }: FstabEntry,
  entries: readonly FstabEntry[],
  ground: FstabGround,
): string | null {
  const shown = oneLine(source);
  if (NETWORK_TYPES.includes(type)) {
    if (options.includes('_netdev')) return null;
    return `mounts ${shown} over the network, with neither _netdev nor nofail`;
  }
  if (SHARE_TYPES.includes(type)) return `wants ${shown} of the host, without nofail`;
  if (KERNEL_TYPES.includes(type)) return null;
  const disk = diskOf(source, ground);
  if (disk === 'unknown') return `waits for ${shown}, which no disk of this image is, without nofail`;
  if (disk === 'none') {
    const isLent = options.some((option) => ['bind', 'rbind', 'loop'].includes(option)) || type === 'swap';
    if (!isLent || !source.startsWith('/')) return null;
    return isLive(source, entries) || ground.isThere(source) ? null : `wants ${shown}, which is not there`;
  }
  if (target === '/') return disk === 'rootfs' ? null : 'has the work seed for the root filesystem';
  // Of the root filesystem itself nobody asks what it is: it is mounted by then.
  if (type.split(',').some((one) => DISK_TYPES.includes(one))) return null;
  return `takes ${shown} for ${oneLine(type)}, but it is ext4`;
}

/** Whether a path may be there at run time though it is not in the image. */
function isLive(path: string, entries: readonly FstabEntry[]): boolean {
  const mounted = entries.map(({ target }) => target).filter((target) => target !== '/');
  return [...LIVE_DIRECTORIES, ...mounted].some((above) => path.startsWith(`${above}/`));
}

function diskOf(
  source: string,
  { rootfs, workSeed }: FstabGround,
): 'rootfs' | 'work seed' | 'unknown' | 'none' {
  if (ROOT_DEVICES.includes(source)) return 'rootfs';
  if (source === SEED_DEVICE) return workSeed === null ? 'unknown' : 'work seed';
  const [, tag, name] =
    /^(LABEL|UUID|PARTLABEL|PARTUUID|ID)=(.*)$/su.exec(source) ??
    /^\/dev\/disk\/by-([a-z]+)\/(.*)$/su.exec(source) ??
    [];
  if (tag === undefined || name === undefined) return source.startsWith('/dev/') ? 'unknown' : 'none';
  const by = tag.toLowerCase();
  const wanted = name.replace(/^(["'])(.*)\1$/su, '$2');
  if ((by !== 'label' && by !== 'uuid') || wanted === '') return 'unknown';
  if (rootfs[by] === wanted) return 'rootfs';
  return workSeed?.[by] === wanted ? 'work seed' : 'unknown';
}
