import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { benchBuild } from './build.ts';
import { benchCache } from './cache.ts';
import { benchList } from './list.ts';
import { type Bench, commandLine, type Ratio } from './measure.ts';
import { benchPromoteOnExt4, benchPromoteOnXfs } from './promote.ts';
import { benchStartup } from './startup.ts';
import { benchBoot, benchVmBuilder, benchVmCreate } from './vm.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const CACHE = join(REPOSITORY, '.cache/bench');

const BENCHES: Readonly<Record<string, (bench: Bench) => Promise<Ratio[]>>> = {
  build: (bench) => benchBuild(bench, CACHE),
  'promote-xfs': benchPromoteOnXfs,
  'promote-ext4': benchPromoteOnExt4,
  list: benchList,
  cache: (bench) => benchCache(bench, CACHE, REPOSITORY),
  'vm-create': benchVmCreate,
  boot: benchBoot,
  'vm-builder': (bench) => benchVmBuilder(bench, CACHE),
  startup: (bench) => benchStartup(bench, REPOSITORY),
};

function report({ title, over, value, limit }: Ratio): string {
  const met = value <= limit;
  const verdict = met ? 'ok' : `missed by ${(value - limit).toFixed(2)}`;
  return `${title.padEnd(38)} / ${over.padEnd(12)} ${value.toFixed(2).padStart(5)}  at most ${limit}  ${verdict}\n`;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  process.stderr.write(
    `bench: no such benchmark: ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}\n`,
  );
  process.exit(2);
}
await mkdir(CACHE, { recursive: true });
// On a disk, which /tmp may not be, and open to the ordinary user.
const work = await mkdtemp('/var/tmp/banger-bench-');
await chmod(work, 0o755);
const banger = commandLine(REPOSITORY);
const ratios: Ratio[] = [];
try {
  for (const [name, bench] of Object.entries(BENCHES)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    process.stdout.write(`${name}\n`);
    ratios.push(...(await bench({ work, banger })));
  }
} finally {
  await rm(work, { recursive: true, force: true });
}
process.stdout.write(`\n${ratios.map(report).join('')}`);
if (!ratios.every(({ value, limit }) => value <= limit)) process.exitCode = 1;
