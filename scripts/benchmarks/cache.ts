import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { run } from '../../src/lib/system/process.ts';
import { debianBase } from './debian-base.ts';
import { withFilesystem } from './filesystem.ts';
import { type Bench, measure, quote, type Ratio, ratio } from './measure.ts';

const LAST_STEP_BY_HAND = resolve(import.meta.dirname, 'last-step-by-hand');
const PACKAGE_BY_HAND = resolve(import.meta.dirname, 'build-by-hand');

/** A few seconds of a processor, and tens of MiB that are written. */
const LAST_STEP = 'tar -C /usr -c lib/x86_64-linux-gnu share | gzip >/srv/usr.tar.gz';
/** One a turn, so that none was installed before; each small, and without others that it needs. */
const PACKAGES = ['tree', 'bc', 'dc', 'pv', 'time', 'figlet', 'patch', 'unzip', 'zip', 'lsof', 'psmisc'];
const CONTEXT_FILES = 20_000;
const CONTEXT_BYTES = 2 * 1024 ** 3;

/** Where builds are measured: a state directory on a filesystem that shares extents, with a Debian in it. */
interface Ground {
  bench: Bench;
  below: string;
  /** The program's command line, with its environment. */
  banger: string;
  /** The boot set of `debian-base`. */
  base: string;
  publicKey: string;
}

/** What is kept of earlier builds must save what it is kept for. */
export async function benchCache(bench: Bench, cache: string, repository: string): Promise<Ratio[]> {
  const { directory } = await debianBase(bench, cache);
  return withFilesystem('xfs', 24, bench, async (below) => {
    const ground = await prepareGround(bench, below, directory);
    return [
      await benchUnchanged(ground, repository),
      await benchLastStep(ground),
      await benchAnotherPackage(ground),
      await benchContext(ground),
    ];
  });
}

async function prepareGround(bench: Bench, below: string, debian: string): Promise<Ground> {
  const home = join(below, 'home');
  await mkdir(home, { mode: 0o700 });
  const places = {
    HOME: home,
    BANGER_STATE_DIR: join(below, 'state'),
    BANGER_CACHE_DIR: join(below, 'cache'),
  };
  const environment = Object.entries(places).map(([name, path]) => `${name}=${quote(path)}`);
  const banger = `env ${environment.join(' ')} ${bench.banger}`;
  const files = join(below, 'debian-base');
  // Node's own copy would fill the holes.
  await run('cp', ['--recursive', '--sparse=auto', '--', debian, files]);
  const flags = [
    ...['--rootfs', join(files, 'rootfs.ext4')],
    ...['--kernel', join(files, 'kernel')],
    ...['--initrd', join(files, 'initrd.img')],
    ...['--modules', join(files, 'modules')],
  ];
  await shell(`${banger} image register debian-base ${flags.map(quote).join(' ')}`);
  await shell(`${banger} image promote debian-base --quiet`);
  const base = await artifactsOf(banger, 'debian-base');
  return { bench, below, banger, base, publicKey: join(home, '.config/banger/id_ed25519.pub') };
}

function shell(line: string): Promise<{ stdout: string }> {
  return run('sh', ['-c', line]);
}

async function artifactsOf(banger: string, name: string): Promise<string> {
  const { stdout } = await shell(`${banger} image show ${name} --json`);
  return (JSON.parse(stdout) as { artifact_dir: string }).artifact_dir;
}

/** A directory with a recipe, and the command line that builds `bench` from it. */
async function recipe(
  { below, banger }: Ground,
  name: string,
  lines: readonly string[],
): Promise<{ context: string; build: string; forget: string }> {
  const context = join(below, name);
  await mkdir(context, { recursive: true });
  // Beside the context: it is no part of it.
  const file = `${context}.Containerfile`;
  await writeFile(file, `${lines.join('\n')}\n`);
  return {
    context,
    build: `${banger} image build bench ${quote(context)} --file ${quote(file)} --quiet`,
    forget: `${banger} image delete bench --purge --yes --quiet 2>/dev/null; sync`,
  };
}

/** A build that finds all of its steps, with its image published anew. */
async function benchUnchanged(ground: Ground, repository: string): Promise<Ratio> {
  const { context, build, forget } = await recipe(ground, 'ten-steps', [
    'FROM debian-base',
    'WORKDIR /srv',
    'COPY . files/',
    ...Array.from({ length: 8 }, (_, index) => `RUN echo ${index} >step-${index}`),
  ]);
  await writeFile(join(context, 'file'), 'content\n');
  const node = quote(join(repository, 'node_modules/node/bin/node'));
  await shell(build);
  const times = await measure(
    ground.bench,
    [
      { name: 'node -e 0', command: `env ${node} -e 0` },
      { name: 'image build, ten steps unchanged', command: build, prepare: forget },
    ],
    { runs: 15 },
  );
  await shell(forget);
  return ratio('(e) unchanged build of ten steps', 'node -e 0', [times[1], times[0]], 15);
}

/** A build whose last step is another each time, over the same done on the disk that was kept before it. */
async function benchLastStep(ground: Ground): Promise<Ratio> {
  const { bench, below, banger, publicKey } = ground;
  const before = [
    'FROM debian-base',
    ...Array.from({ length: 9 }, (_, index) => `RUN echo ${index} >/srv/${index}`),
  ];
  const kept = await recipe(ground, 'nine-steps', before);
  await shell(kept.build.replace('build bench', 'build nine-steps'));
  const { build, forget } = await recipe(ground, 'last-step', [...before, 'ARG TURN', `RUN ${LAST_STEP}`]);
  const target = quote(join(below, 'by-hand'));
  const words = [LAST_STEP_BY_HAND, await artifactsOf(banger, 'nine-steps')].map(quote);
  const times = await measure(
    bench,
    [
      {
        name: 'the last step by hand',
        command: `sh ${words.join(' ')} ${target} ${quote(publicKey)} ${quote(LAST_STEP)}`,
        prepare: `rm -rf ${target}; sync`,
      },
      {
        name: 'image build, last step changed',
        command: `${build} --build-arg TURN="$(date +%s%N)"`,
        prepare: forget,
      },
    ],
    { runs: 7 },
  );
  await shell(`${forget}; rm -rf ${target}`);
  return ratio('(f) last step changed', 'by hand', [times[1], times[0]], 1.3);
}

/** Another package each time, where others were installed before, over the bare script, which keeps nothing. */
async function benchAnotherPackage({ bench, below, banger, base }: Ground): Promise<Ratio> {
  const turns = ['banger', 'hand'].map((who) => quote(join(below, `turn-${who}`)));
  const next = (file = ''): string => `echo x >>${file}`;
  const nth = (file = ''): string => `"$(echo ${PACKAGES.join(' ')} | cut -d' ' -f"$(wc -l <${file})")"`;
  const [own, theirs] = turns;
  const target = quote(join(below, 'by-hand'));
  const forget = `${banger} image delete bench --purge --yes --quiet 2>/dev/null; sync`;
  const times = await measure(
    bench,
    [
      {
        name: 'a package by hand, nothing kept',
        command: `sh ${quote(PACKAGE_BY_HAND)} ${quote(base)} ${target} ${nth(theirs)}`,
        prepare: `${next(theirs)}; rm -rf ${target}; sync`,
      },
      {
        name: 'image build, another package',
        command: `${banger} image build bench --from-image debian-base --preset none --package ${nth(own)} --quiet`,
        prepare: `${next(own)}; ${forget}`,
      },
    ],
    { runs: 7 },
  );
  await shell(`${forget}; rm -rf ${target}`);
  return ratio('(g) build of another package', 'by hand', [times[1], times[0]], 0.7);
}

/** A build that has to know that none of many files has changed, over reading them. */
async function benchContext(ground: Ground): Promise<Ratio> {
  const { context, build, forget } = await recipe(ground, 'context', [
    'FROM debian-base',
    'COPY . /srv/context/',
  ]);
  await fillContext(context);
  await shell(`sync; ${build}`);
  const times = await measure(
    ground.bench,
    [
      {
        name: `sha256sum of ${CONTEXT_FILES} files`,
        command: `find ${quote(context)} -type f -print0 | xargs -0 sha256sum >/dev/null`,
      },
      { name: 'image build, context unchanged', command: build, prepare: forget },
    ],
    { runs: 7 },
  );
  await shell(forget);
  return ratio('(h) unchanged context of 2 GiB', 'sha256sum', [times[1], times[0]], 0.15);
}

async function fillContext(context: string): Promise<void> {
  const content = Buffer.alloc(Math.ceil(CONTEXT_BYTES / CONTEXT_FILES), 'content');
  for (let index = 0; index < CONTEXT_FILES; index += 1) {
    const directory = join(context, String(Math.floor(index / 200)));
    if (index % 200 === 0) await mkdir(directory);
    content.writeUInt32LE(index);
    await writeFile(join(directory, String(index)), content);
  }
}
