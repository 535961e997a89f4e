#!/usr/bin/env node
// Plain enough for a Node that is too old to say so itself.
const wanted = 24;
if (Number(process.versions.node.split('.')[0]) < wanted) {
  process.stderr.write(`error: banger needs Node ${wanted} or newer, this is ${process.versions.node}\n`);
  process.exit(6);
}
// Compiled code is kept beside what it was compiled from: it halves the start. Where that is read-only, it is only read.
const { createRequire, enableCompileCache } = await import('node:module');
const { fileURLToPath } = await import('node:url');
const root = fileURLToPath(new URL('..', import.meta.url));
enableCompileCache(`${root}dist/compile-cache`);
// oclif would look for sources and print its own warnings.
process.env.NODE_ENV = 'production';
const require = createRequire(import.meta.url);
const { main } = await import('../dist/main.js');
await main({ manifest: require('../oclif.manifest.json'), pjson: require('../package.json'), root });
