import { run } from '../../src/lib/system/process.ts';

interface Entry {
  name: string;
  /** With the type's bits (inode(7)). */
  mode: number;
  uid: number;
  gid: number;
}

/** What root alone may own and change in any system's root directory (FHS 3.0, section 3). */
const SYSTEM_DIRECTORIES = new Set(
  'bin boot dev etc home lib lib32 lib64 libx32 media mnt opt proc root run sbin srv sys usr var'.split(' '),
);

/** One line of debugfs' `ls -l`: inode, mode in octal, (type), uid, gid, size, date, time, name. */
const LINE = /^\s*\d+\s+([0-7]+)\s+\(\d+\)\s+(\d+)\s+(\d+)\s+\d+\s+\S+\s+\S+\s+(.+)$/u;

async function list(image: string, directory: string): Promise<Entry[]> {
  const { stdout } = await run('debugfs', ['-R', `ls -l ${directory}`, image]);
  return stdout.split('\n').flatMap((line) => {
    const [, mode, uid, gid, name] = LINE.exec(line) ?? [];
    if (mode === undefined || name === undefined) return [];
    return [{ name: name.trim(), mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid) }];
  });
}

/** Owners and modes in an ext4 image as debugfs reads them, mounting nothing. */
export async function inspectOwners(image: string, kind: 'rootfs' | 'work seed'): Promise<string[]> {
  const top = await list(image, '/');
  const complain = (name: string, entry: Entry, wanted: string): string =>
    `${image}: ${name} is ${entry.uid}:${entry.gid} ${entry.mode.toString(8)}, not ${wanted}`;
  const check = (entries: Entry[], name: string, shown: string, modes: readonly number[]): string[] =>
    entries
      .filter((entry) => entry.name === name)
      .filter((entry) => entry.uid !== 0 || entry.gid !== 0 || !modes.includes(entry.mode))
      .map((entry) => complain(shown, entry, `0:0 ${modes.map((mode) => mode.toString(8)).join(' or ')}`));

  if (kind === 'work seed') {
    const ssh = top.some(({ name }) => name === '.ssh') ? await list(image, '/.ssh') : [];
    return [
      ...check(top, '.', '/', [0o40700, 0o40755]),
      ...check(top, '.ssh', '/.ssh', [0o40700]),
      ...check(ssh, 'authorized_keys', '/.ssh/authorized_keys', [0o100600]),
    ];
  }
  const etc = top.some(({ name }) => name === 'etc') ? await list(image, '/etc') : [];
  return [
    ...check(top, '.', '/', [0o40755]),
    ...check(top, 'tmp', '/tmp', [0o41777]),
    ...top
      .filter(
        ({ name, uid, gid, mode }) =>
          SYSTEM_DIRECTORIES.has(name) && (uid !== 0 || gid !== 0 || isOpen(mode)),
      )
      .map((entry) => complain(`/${entry.name}`, entry, 'root:root and closed to writers')),
    ...etc
      .filter(
        ({ name, uid, mode }) => name !== '..' && (uid !== 0 || (name === 'shadow' && (mode & 0o7) !== 0)),
      )
      .map((entry) => complain(`/etc/${entry.name}`, entry, "root's, with shadow closed")),
  ];
}

/** Whether others may write; links have every bit set and mean nothing by it. */
function isOpen(mode: number): boolean {
  return (mode & 0o170000) !== 0o120000 && (mode & 0o002) !== 0;
}
