import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BangerError } from '../errors.ts';
import { e2fsTarget } from './e2fs-target.ts';
import { type ProcessResult, run, toolFailed } from './process.ts';

// Edits an ext filesystem without mounting it (debugfs(8)). It does not replay a journal: see recoverExt4.

export interface Ownership {
  /** 07777 at most. */
  mode: number;
  uid: number;
  gid: number;
}

/** Type bits of i_mode (Documentation/filesystems/ext4/inodes.rst): without them a mode would turn a directory into a file. */
const TYPE_BITS = { file: 0x8000, directory: 0x4000 } as const;

/** What debugfs says on stderr each time, also when all went well. */
const VERSION_LINE = /^debugfs \d+\.\d+.*\n?/u;

/**
 * A word of debugfs's command language, which knows quotes but no escapes, `""` standing for one quote in them.
 * @throws BangerError `preflight_failed` for control characters: a newline would begin a command of its own.
 */
export function quote(word: string): string {
  if (/[\u0000-\u001f\u007f]/u.test(word)) {
    throw new BangerError(
      'preflight_failed',
      `${JSON.stringify(word)}: debugfs cannot take a name with control characters`,
    );
  }
  return `"${word.replaceAll('"', '""')}"`;
}

/** Commands that make an inode, named in debugfs's language, what it should be. */
export function ownershipCommands(
  target: string,
  type: keyof typeof TYPE_BITS,
  { mode, uid, gid }: Ownership,
): string[] {
  return [
    `set_inode_field ${target} mode 0${(TYPE_BITS[type] | (mode & 0o7777)).toString(8)}`,
    `set_inode_field ${target} uid ${uid}`,
    `set_inode_field ${target} gid ${gid}`,
  ];
}

/** What debugfs said that was not its version. */
function complaints(result: ProcessResult): string {
  return result.stderr.replace(VERSION_LINE, '').trim();
}

/**
 * Runs commands in order, each whatever became of those before it. debugfs exits 0 when a command fails, and may say
 * nothing of a write that did: what was to be made must be read back. A failure leaves the image unfit for use.
 * @param commandsIn says what they are; files that they read are written into the directory that it gets
 * @throws BangerError `tool_failed`, as when the filesystem is full
 */
export async function editExt4(
  image: string,
  commandsIn: (scratch: string) => Promise<readonly string[]> | readonly string[],
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  const { cwd, file } = e2fsTarget(image);
  // Beside the image, so that what removes an abandoned stage removes it too.
  const scratch = await mkdtemp(`${path.resolve(image)}.debugfs-`);
  try {
    const script = path.join(scratch, 'commands');
    const commands = await commandsIn(scratch);
    await writeFile(script, commands.map((command) => `${command}\n`).join(''));
    const options = signal ? { signal } : {};
    const result = await run('debugfs', ['-w', '-f', script, file], { cwd, okExit: 'any', ...options });
    if (result.exitCode === 0 && complaints(result) === '') return;
    const failure = toolFailed('debugfs', { ...result, stderr: complaints(result) });
    const { hints, details } = failure;
    throw new BangerError('tool_failed', `${image}: ${failure.message}`, { hints, details });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The error of an edit of which something else was read back. */
export function notMade(image: string, name: string): BangerError {
  return new BangerError('tool_failed', `${image}: debugfs did not make ${name} in it what it should be`);
}
