/** A system call as strace printed it. */
export interface Call {
  name: string;
  /** The files it is about, with what differs from run to run left out. */
  target: string;
  /** Which call of its name it is in its thread, from 1: what strace's `when` counts. */
  ordinal: number;
  /** Which of those on the same files, from 1. */
  occurrence: number;
  line: string;
}

const CALL = /^(\w+)\(/u;
/** What a call returned: it may be a path again, or nothing where it was not made. */
const RESULT = /\)\s+= (?!.*\)\s+= ).*$/u;
/** A path that a descriptor stands for (strace -y), or an argument in quotes. */
const FILE = /<(\/[^<>]*)>|"((?:[^"\\]|\\.)*)"/gu;

/**
 * The calls that a thread made, in their order, of strace's output with `-y -s 0`.
 * @param home whose files are called the same in every home
 */
export function parseTrace(text: string, home: string): Call[] {
  const ofName = new Map<string, number>();
  const ofTarget = new Map<string, number>();
  const next = (counts: Map<string, number>, key: string): number => {
    const number = (counts.get(key) ?? 0) + 1;
    counts.set(key, number);
    return number;
  };
  return text.split('\n').flatMap((line) => {
    const name = CALL.exec(line)?.[1];
    if (name === undefined) return [];
    const target = targetOf(line, home);
    return [
      {
        name,
        target,
        ordinal: next(ofName, name),
        occurrence: next(ofTarget, `${name} ${target}`),
        line,
      },
    ];
  });
}

function targetOf(line: string, home: string): string {
  return [...line.replace(RESULT, '').matchAll(FILE)]
    .map(([, opened, named]) => opened ?? named ?? '')
    .map((path) =>
      path
        .replace(/ \(deleted\)$/u, '')
        .replaceAll(home, '~')
        .replaceAll(/[0-9a-f]{32}/gu, 'ID')
        .replaceAll(/\.build-[0-9a-f]{6}/gu, '.build-ID')
        .replaceAll(/\b\d+\b/gu, 'N'),
    )
    .filter((path) => path !== '')
    .join(' ');
}

/** What changes something wherever it is called. */
const CHANGES = new Set([
  ...['mount', 'umount2', 'fsopen', 'fsconfig', 'fsmount', 'open_tree', 'move_mount', 'mount_setattr'],
  ...['link', 'linkat', 'copy_file_range', 'fallocate', 'truncate', 'ftruncate'],
]);

/** Whether a call touches a directory, or mounts, links, clones, punches or truncates. */
export function matters({ name, line }: Call, directory: string): boolean {
  return line.includes(directory) || CHANGES.has(name) || line.includes('FICLONE');
}
