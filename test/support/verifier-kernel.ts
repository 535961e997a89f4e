import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** What the kernel still holds of a directory: mounts in any namespace, loop devices, processes. */
export function inspectKernel(directory: string): string[] {
  return [...inspectMounts(directory), ...inspectLoopDevices(directory), ...inspectProcesses(directory)];
}

/** The text of a file of /proc or /sys, or nothing when what it tells of is gone or not ours to see. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function linkIfThere(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function listIfThere(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function processes(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/u.test(name));
}

/** Mount points are the fifth field of mountinfo, with blanks as \040 (proc(5)). */
function inspectMounts(directory: string): string[] {
  const seen = new Map<string, string>();
  for (const pid of processes()) {
    const namespace = linkIfThere(`/proc/${pid}/ns/mnt`);
    if (namespace === '' || seen.has(namespace)) continue;
    const mounted = readIfThere(`/proc/${pid}/mountinfo`)
      .split('\n')
      .map((line) => (line.split(' ')[4] ?? '').replaceAll('\\040', ' '))
      .find((mountPoint) => isBelow(mountPoint, directory));
    seen.set(namespace, mounted === undefined ? '' : `${mounted} is still mounted (seen by process ${pid})`);
  }
  return [...seen.values()].filter((complaint) => complaint !== '');
}

function inspectLoopDevices(directory: string): string[] {
  return listIfThere('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => ({ name, file: readIfThere(`/sys/block/${name}/loop/backing_file`).trim() }))
    .filter(({ file }) => isBelow(file, directory))
    .map(({ name, file }) => `/dev/${name} is still attached to ${file}`);
}

function inspectProcesses(directory: string): string[] {
  return processes()
    .filter((pid) => Number(pid) !== process.pid)
    .flatMap((pid) => {
      const places = ['cwd', 'root', 'exe', ...listIfThere(`/proc/${pid}/fd`).map((fd) => `fd/${fd}`)];
      const held = places
        .map((place) => linkIfThere(`/proc/${pid}/${place}`))
        .find((path) => isBelow(path, directory));
      const command = readIfThere(`/proc/${pid}/cmdline`).split('\0');
      if (held === undefined && !command.some((word) => word.includes(`${directory}/`))) return [];
      return [`process ${pid} still uses ${held ?? directory}: ${command.join(' ').trim()}`];
    });
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
