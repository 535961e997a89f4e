import { type ProcessResult, run } from '../../src/lib/system/process.ts';

/** A file of an image, as debugfs finds it without a mount. */
export interface GuestFile {
  type: 'regular' | 'directory' | 'symlink' | 'FIFO' | 'socket' | 'character special' | 'block special';
  /** Permissions with setuid, setgid and sticky bits. */
  mode: number;
  uid: number;
  gid: number;
  links: number;
  inode: number;
  size: number;
  /** Names of extended attributes. */
  xattrs: string[];
}

/** A pager, which it pipes through even without a terminal, may lose what it says. */
const NO_PAGER = { DEBUGFS_PAGER: '__none__' };

function debugfs(image: string, command: string): Promise<ProcessResult> {
  return run('debugfs', ['-R', command, image], { env: NO_PAGER });
}

/** What there is under an absolute path of an ext4 image; null when there is nothing. Links are not followed. */
export async function statGuest(image: string, path: string): Promise<GuestFile | null> {
  const { stdout, stderr } = await debugfs(image, `stat "${path}"`);
  if (/File not found by ext2_lookup/u.test(stderr)) return null;
  const field = (pattern: RegExp): string => pattern.exec(stdout)?.[1] ?? '';
  return {
    type: field(/Type: (.+?) {2,}/u) as GuestFile['type'],
    mode: Number.parseInt(field(/Mode: +([0-7]+)/u), 8),
    uid: Number(field(/User: +(\d+)/u)),
    gid: Number(field(/Group: +(\d+)/u)),
    links: Number(field(/Links: (\d+)/u)),
    inode: Number(field(/Inode: (\d+)/u)),
    size: Number(field(/Size: (\d+)/u)),
    xattrs: [...stdout.matchAll(/^ {2}([a-z]+\.\S+) \(\d+\)/gmu)].map(([, name = '']) => name),
  };
}

/** The content of a file of an ext4 image, as text. */
export async function readGuest(image: string, path: string): Promise<string> {
  const { stdout } = await debugfs(image, `cat "${path}"`);
  return stdout;
}

/** Names in a directory of an ext4 image, sorted, without `.` and `..`. */
export async function listGuest(image: string, directory: string): Promise<string[]> {
  const { stdout } = await debugfs(image, `ls -p "${directory}"`);
  // /inode/mode/uid/gid/name/size/, and a name may have a newline in it
  const names = [...stdout.matchAll(/^\/\d+\/\d+\/\d+\/\d+\/([^/]+)\/\d*\/$/gmu)].map(
    ([, name = '']) => name,
  );
  return names.filter((name) => name !== '.' && name !== '..').sort();
}

/** Changes an image that nothing uses with commands of debugfs(8). */
export async function changeGuest(image: string, ...commands: readonly string[]): Promise<void> {
  for (const command of commands) {
    const { stderr } = await run('debugfs', ['-w', ...['-R', command], image]);
    const said = stderr.replace(/^debugfs [\d.]+.*\n/u, '').trim();
    if (said !== '') throw new Error(`debugfs ${command}: ${said}`);
  }
}
