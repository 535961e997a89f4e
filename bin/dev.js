#!/usr/bin/env node
// The same from the sources, for work on banger itself: Node 24 runs TypeScript as it is.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

process.env.NODE_ENV = 'development';
const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('..', import.meta.url));
const { main } = await import('../src/main.ts');
await main({ manifest: require('../oclif.manifest.json'), pjson: require('../package.json'), root });
