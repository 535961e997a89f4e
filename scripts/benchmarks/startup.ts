import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findTool } from '../../src/lib/system/preflight.ts';
import { run } from '../../src/lib/system/process.ts';
import { makeState } from './list.ts';
import { type Bench, type Measured, measure, type Ratio, ratio } from './measure.ts';

const IMAGES = 20;

/** The executable must start as a tool at a shell does: against the least that the same Node takes. */
export async function benchStartup(bench: Bench, repository: string): Promise<Ratio[]> {
  const state = join(bench.work, 'startup');
  const cache = join(bench.work, 'startup-cache');
  await makeState(state, IMAGES);
  await mkdir(cache, { mode: 0o700 });
  const node = join(repository, 'node_modules/node/bin/node');
  const banger = `env BANGER_STATE_DIR=${state} BANGER_CACHE_DIR=${cache} ${join(repository, 'dist/banger')}`;
  const peers: Measured[] =
    (await findTool('podman')) === null ? [] : [{ name: 'podman images', command: 'podman images' }];
  const times = await measure(
    bench,
    [
      // As the others do, by env(1).
      { name: 'node -e 0', command: `env ${node} -e 0` },
      { name: 'banger --version', command: `${banger} --version` },
      { name: `banger image list, ${IMAGES} images`, command: `${banger} image list` },
      { name: 'completion of an image', command: `${banger} __complete image show image-1` },
      ...peers,
    ],
    { runs: 40, shell: false },
  );
  const { stderr } = await run('sh', ['-c', `exec /usr/bin/time -f %M ${banger} image list >/dev/null`]);
  process.stdout.write(
    `  ${(Number(stderr.trim()) / 1024).toFixed(0).padStart(8)} MiB at most in memory: image list\n`,
  );
  return [
    ratio('(e) banger --version', 'node -e 0', [times[1], times[0]], 1.3),
    ratio('(e) banger image list', 'node -e 0', [times[2], times[0]], 1.8),
    ratio('(e) completion of an image', 'node -e 0', [times[3], times[0]], 1.5),
  ];
}
