import { stat } from 'node:fs/promises';
import { run } from './process.ts';

/** A piece of a file on its filesystem, in bytes. */
export interface Extent {
  start: number;
  end: number;
  /** Other files have it, too; none of them need be known to us. */
  shared: boolean;
}

/** What st_blocks counts in (stat(3type)). */
const SECTOR = 512;

/** `   0:        0..    4095:      98304..    102399:   4096:             last,shared` (filefrag(8), with -b1 in bytes). */
const LINE = /^\s*\d+:\s+\d+\.\.\s*\d+:\s+(\d+)\.\.\s*(\d+):\s+\d+:(?:\s+\d+:)?\s*(\S*)$/u;

/**
 * Where a file's data lies, by FIEMAP (Documentation/filesystems/fiemap.rst); null where the filesystem cannot say, as
 * tmpfs, and for a path whose line breaks would be lines of the tool's answer. What is not on the disk yet is left out.
 */
export async function extentsOf(path: string, signal?: AbortSignal): Promise<Extent[] | null> {
  if (path.includes('\n')) return null;
  const extents: Extent[] = [];
  const { exitCode } = await run('filefrag', ['-b1', '-e', '-v', '--', path], {
    okExit: 'any',
    ...(signal ? { signal } : {}),
    onLine(line) {
      const [, start, end, flags = ''] = LINE.exec(line) ?? [];
      if (start === undefined || /unknown|inline|delalloc/u.test(flags)) return;
      extents.push({ start: Number(start), end: Number(end) + 1, shared: flags.includes('shared') });
    },
  });
  return exitCode === 0 ? extents : null;
}

/** What a file has for itself alone, in bytes: all that it takes where the filesystem cannot say. */
export async function ownBytes(path: string, signal?: AbortSignal): Promise<number> {
  const extents = await extentsOf(path, signal);
  if (extents === null) return (await stat(path)).blocks * SECTOR;
  return extents.filter(({ shared }) => !shared).reduce((sum, { start, end }) => sum + end - start, 0);
}
