// Makes the single executable: the program, Node and SQLite in one file.
// usage: build.ts [TARGET [DIRECTORY FOR INTERMEDIATE FILES]]
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { build, transform } from 'esbuild';
import { inject } from 'postject';
import { run } from '../../src/lib/system/process.ts';
import { chunksOfOclif, lazyOclif } from '../lazy-oclif.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const [target = join(ROOT, 'dist/banger'), work = join(ROOT, '.cache/executable')] = process.argv.slice(2);
const WORK = resolve(work);
const NODE = join(ROOT, 'node_modules/node/bin/node');
/** Where Node looks for its cargo (Node.js, Single executable applications). */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';
const ADDON = join(ROOT, `node_modules/better-sqlite3/prebuilds/linux-${process.arch}.node`);

/** The commit, marked where what is built is not what was committed. */
async function commitOf(): Promise<string> {
  const git = async (...args: string[]): Promise<string> =>
    (
      await run('git', ['-C', ROOT, '-c', `safe.directory=${ROOT}`, ...args], { okExit: 'any' })
    ).stdout.trim();
  const commit = await git('rev-parse', 'HEAD');
  if (commit === '') return 'unknown';
  const changes = await git(
    'status',
    '--porcelain',
    '--',
    'src',
    'scripts/executable',
    'scripts/lazy-oclif.ts',
    'package-lock.json',
  );
  return changes === '' ? commit : `${commit} and changes`;
}

const inWork = (name: string): string => join(WORK, name);

await rm(WORK, { recursive: true, force: true });
await mkdir(WORK, { recursive: true });
const oclif = chunksOfOclif(ROOT);
const { outputFiles } = await build({
  absWorkingDir: ROOT,
  entryPoints: {
    entry: 'scripts/executable/entry.js',
    ...Object.fromEntries([...oclif].map(([path, chunk]) => [chunk, path])),
  },
  outdir: WORK,
  bundle: true,
  // Only ES modules can be split, so they are, and turned into what a vm.Script can run afterwards.
  splitting: true,
  format: 'esm',
  write: false,
  platform: 'node',
  target: 'node24',
  minify: true,
  keepNames: true,
  legalComments: 'none',
  charset: 'ascii',
  define: { 'process.env.NODE_ENV': '"production"', BANGER_COMMIT: JSON.stringify(await commitOf()) },
  plugins: [lazyOclif(oclif)],
  logLevel: 'warning',
});
const chunks: string[] = [];
for (const { path, text } of outputFiles) {
  const { code } = await transform(text, {
    format: 'cjs',
    target: 'node24',
    minify: true,
    keepNames: false,
    charset: 'ascii',
    // Inside a vm.Script there is nobody to import.
    supported: { 'dynamic-import': false },
  });
  const name = basename(path);
  chunks.push(name);
  await writeFile(inWork(name), `(function(exports,require,module){${code}})`);
}
const addon = await readFile(ADDON);
const addonName = `sqlite-${createHash('sha256').update(addon).digest('hex').slice(0, 32)}.node`;
await writeFile(inWork('cargo.json'), JSON.stringify({ addonName }));
await copyFile(ADDON, inWork('better_sqlite3.node'));
await run(NODE, ['--random-seed=1', join(ROOT, 'scripts/executable/make-cache.cjs'), WORK, ...chunks.sort()]);
await copyFile(join(ROOT, 'scripts/executable/loader.cjs'), inWork('loader.cjs'));
await writeFile(
  inWork('sea-config.json'),
  JSON.stringify({
    // Relative: the paths end up in the executable, which is to be the same wherever it is built.
    main: 'loader.cjs',
    output: 'blob',
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    // Else the loader would be looked for where NODE_COMPILE_CACHE says.
    useCodeCache: true,
    execArgvExtension: 'none',
    assets: Object.fromEntries(
      [...chunks.flatMap((name) => [name, `${name}.cache`]), 'cargo.json', 'better_sqlite3.node'].map(
        (name) => [name, inWork(name)],
      ),
    ),
  }),
);
await run(NODE, ['--random-seed=1', '--experimental-sea-config', 'sea-config.json'], { cwd: WORK });
const executable = inWork('banger');
await copyFile(NODE, executable);
await chmod(executable, 0o755);
await inject(executable, 'NODE_SEA_BLOB', await readFile(inWork('blob')), { sentinelFuse: FUSE });
await mkdir(dirname(target), { recursive: true });
await rename(executable, target);
