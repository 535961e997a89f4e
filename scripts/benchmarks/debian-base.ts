import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import { type Bench, quote } from './measure.ts';

/** A Debian that root has bootstrapped, kept from one benchmark to the next. */
export async function debianBase(
  { banger }: Bench,
  cache: string,
): Promise<{ home: string; directory: string }> {
  const home = join(cache, 'root-home');
  await mkdir(home, { recursive: true });
  const root = (words: string): Promise<{ stdout: string }> =>
    run('sh', ['-c', `HOME=${quote(home)} ${banger} ${words}`]);
  const { stdout } = await root('image list --quiet');
  if (!stdout.split('\n').includes('debian-base')) {
    process.stdout.write('  bootstrapping debian-base once\n');
    await root('image bootstrap debian-base --quiet');
  }
  const shown = await root('image show debian-base --json');
  return { home, directory: (JSON.parse(shown.stdout) as { artifact_dir: string }).artifact_dir };
}
