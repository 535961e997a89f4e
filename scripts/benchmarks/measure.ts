import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';

export interface Measured {
  name: string;
  /** A line for `sh -c`. */
  command: string;
  /** Runs before each time, unmeasured. */
  prepare?: string;
}

/** A time over another, and the most it may be. */
export interface Ratio {
  title: string;
  over: string;
  value: number;
  limit: number;
}

export interface Bench {
  /** A directory of its own, removed afterwards. */
  work: string;
  /** The command line of the program, quoted for a shell. */
  banger: string;
}

export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The command line of the program in a directory, quoted for a shell. */
export function commandLine(program: string): string {
  return `${quote(join(program, 'node_modules/node/bin/node'))} ${quote(join(program, 'bin/run.js'))}`;
}

/**
 * Medians in seconds, in the order given. hyperfine times one run of each in turn, forwards and backwards, so that what
 * else the machine does and what the last command left to the disk fall on all alike; a first turn warms up.
 * @param shell whether a shell is wanted; without one its start is not in the way of small times
 */
export async function measure(
  { work }: Bench,
  measured: readonly Measured[],
  { runs, shell = true }: { runs: number; shell?: boolean },
): Promise<number[]> {
  const directory = await mkdtemp(join(work, 'hyperfine-'));
  const turns: number[][] = [];
  for (let turn = 0; turn <= runs; turn += 1) {
    const backwards = turn % 2 === 1;
    const times = await timeOnce(directory, backwards ? measured.toReversed() : measured, shell);
    if (turn > 0) turns.push(backwards ? times.reverse() : times);
  }
  await rm(directory, { recursive: true });
  return measured.map(({ name }, index) => {
    const times = turns.map((turn) => turn[index] ?? Number.NaN).sort((a, b) => a - b);
    const middle = median(times);
    const range = `${times[0]?.toFixed(3)} to ${times.at(-1)?.toFixed(3)}`;
    process.stdout.write(`  ${middle.toFixed(4).padStart(8)} s (${range})  ${name}\n`);
    return middle;
  });
}

function median(sorted: readonly number[]): number {
  const half = sorted.length / 2;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(half) - 1], sorted[Math.floor(half)]];
  return (low + high) / 2;
}

async function timeOnce(directory: string, measured: readonly Measured[], shell: boolean): Promise<number[]> {
  const report = join(directory, 'report.json');
  // hyperfine drops what commands say.
  const errors = join(directory, 'errors');
  // One --prepare a command, or one for all.
  const prepared = measured.some(({ prepare }) => prepare !== undefined);
  const args = measured.flatMap(({ command, prepare }) => [
    ...(prepared ? ['--prepare', prepare ?? 'true'] : []),
    shell ? `{ ${command}\n} 2>>${quote(errors)}` : command,
  ]);
  try {
    await run('hyperfine', [
      ...['--style', 'none'],
      ...(shell ? [] : ['--shell', 'none']),
      ...['--runs', '1'],
      ...['--export-json', report],
      ...args,
    ]);
  } catch (error) {
    process.stderr.write(await readFile(errors, 'utf8').catch(() => ''));
    throw error;
  }
  const { results } = JSON.parse(await readFile(report, 'utf8')) as { results: { median: number }[] };
  return results.map((result) => result.median);
}

export function ratio(
  title: string,
  over: string,
  times: [number | undefined, number | undefined],
  limit: number,
): Ratio {
  const [time = Number.NaN, reference = Number.NaN] = times;
  return { title, over, value: time / reference, limit };
}
