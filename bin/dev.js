#!/usr/bin/env node
// The same from the sources, for work on banger itself: Node 24 runs TypeScript as it is.
process.env.NODE_ENV = 'development';
const { main } = await import('../src/main.ts');
await main(import.meta.url);
