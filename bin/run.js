#!/usr/bin/env node
// Plain enough for a Node that is too old to say so itself.
const wanted = 24;
if (Number(process.versions.node.split('.')[0]) < wanted) {
  process.stderr.write(`error: banger needs Node ${wanted} or newer, this is ${process.versions.node}\n`);
  process.exit(6);
}
// oclif would look for sources and print its own warnings.
process.env.NODE_ENV = 'production';
const { main } = await import('../dist/main.js');
await main(import.meta.url);
