import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { BangerError } from '../errors.ts';
import { e2fsTarget } from './e2fs-target.ts';
import { type ProcessResult, run, toolFailed } from './process.ts';

export interface DebugfsOptions {
  signal?: AbortSignal;
  /**
   * Inode numbers of directories, by path: what a call found and the next one need not walk to. Several calls may share
   * it where nobody else removes or renames a directory between them.
   */
  directories?: Map<string, number>;
}

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

/** What debugfs said that was not its version. */
export function complaints(result: ProcessResult): string {
  return result.stderr.replace(VERSION_LINE, '').trim();
}

/** Judged by stderr, since debugfs exits 0 when a command of its fails. */
export function requireSilence(image: string, result: ProcessResult): void {
  if (result.exitCode === 0 && complaints(result) === '') return;
  const failure = toolFailed('debugfs', { ...result, stderr: complaints(result) });
  throw new BangerError('tool_failed', `${image}: ${failure.message}`, {
    hints: failure.hints,
    details: failure.details,
  });
}

/** Runs debugfs on an image, whatever comes of it. */
export async function runDebugfs(
  image: string,
  args: readonly string[],
  options: DebugfsOptions,
): Promise<ProcessResult> {
  const { cwd, file } = e2fsTarget(image);
  return run('debugfs', [...args, file], {
    cwd,
    okExit: 'any',
    // Else `stat` goes through a pager where one is set up.
    env: { DEBUGFS_PAGER: '__none__' },
    ...(options.signal ? { signal: options.signal } : {}),
  });
}

/** Runs commands in order with the filesystem opened for writing; `scratch` is a directory for them. */
export async function edit(
  image: string,
  scratch: string,
  commands: readonly string[],
  options: DebugfsOptions,
): Promise<void> {
  const script = path.join(scratch, 'commands');
  await writeFile(script, commands.map((command) => `${command}\n`).join(''));
  requireSilence(image, await runDebugfs(image, ['-w', '-f', script], options));
}

/**
 * A directory for what passes between us and debugfs: beside the image, so that what removes an abandoned stage removes
 * it too.
 */
export async function withScratch<T>(image: string, use: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = await mkdtemp(`${path.resolve(image)}.debugfs-`);
  try {
    return await use(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
