// Bundles src/ into a directory, in chunks that load what a command needs: one file in place of ten halves its start.
// usage: bundle.ts DIRECTORY METAFILE
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { lazyOclif } from './lazy-oclif.ts';

const ROOT = join(import.meta.dirname, '..');
const [directory = '', metafile = ''] = process.argv.slice(2);
const { metafile: meta } = await build({
  absWorkingDir: ROOT,
  // Tests run the sandbox by itself.
  entryPoints: ['src/main.ts', 'src/lib/system/sandbox.ts'],
  outbase: 'src',
  outdir: directory,
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  keepNames: true,
  legalComments: 'none',
  define: { 'process.env.NODE_ENV': '"production"' },
  // It finds its addon beside itself.
  external: ['better-sqlite3'],
  // CommonJS packages require Node's own modules.
  banner: {
    js: 'import { createRequire as $createRequire } from "node:module"; const require = $createRequire(import.meta.url);',
  },
  plugins: [lazyOclif()],
  metafile: true,
  logLevel: 'warning',
});
await writeFile(metafile, JSON.stringify(meta.outputs));
