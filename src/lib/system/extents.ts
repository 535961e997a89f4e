import { run } from './process.ts';

/** A piece of a file on its filesystem, in bytes. */
export interface Extent {
  start: number;
  end: number;
  /** Other files have it, too; none of them need be known to us. */
  shared: boolean;
}

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

/** Bytes of extents; those that overlap count once. */
export function lengthOf(extents: readonly Range[]): number {
  return total(merge(extents));
}

/** How much of some extents is in none of others, in bytes. */
export function lengthWithout(extents: readonly Range[], others: readonly Range[]): number {
  return lengthOf([...extents, ...others]) - lengthOf(others);
}

type Range = Pick<Extent, 'start' | 'end'>;

function total(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}

function merge(ranges: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const { start, end } of ranges.toSorted((one, other) => one.start - other.start)) {
    const last = merged.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}
