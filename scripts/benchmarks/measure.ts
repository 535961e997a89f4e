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

/** Medians in seconds, in the order given, all measured by one hyperfine. */
export async function measure(
  { work }: Bench,
  measured: readonly Measured[],
  { runs, warmup = 1 }: { runs: number; warmup?: number },
): Promise<number[]> {
  const directory = await mkdtemp(join(work, 'hyperfine-'));
  const report = join(directory, 'report.json');
  // hyperfine drops what commands say.
  const errors = join(directory, 'errors');
  // One --prepare a command, or one for all.
  const prepared = measured.some(({ prepare }) => prepare !== undefined);
  const args = measured.flatMap(({ name, command, prepare }) => [
    ...(prepared ? ['--prepare', prepare ?? 'true'] : []),
    ...['--command-name', name],
    `{ ${command}\n} 2>>${quote(errors)}`,
  ]);
  const options = [
    '--style',
    'none',
    '--runs',
    String(runs),
    '--warmup',
    String(warmup),
    '--export-json',
    report,
  ];
  try {
    await run('hyperfine', [...options, ...args]);
  } catch (error) {
    process.stderr.write(await readFile(errors, 'utf8').catch(() => ''));
    throw error;
  }
  const { results } = JSON.parse(await readFile(report, 'utf8')) as {
    results: { command: string; median: number }[];
  };
  await rm(directory, { recursive: true });
  for (const { command, median } of results)
    process.stdout.write(`  ${median.toFixed(3).padStart(8)} s  ${command}\n`);
  return results.map(({ median }) => median);
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
