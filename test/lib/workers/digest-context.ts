import { openContext } from '../../../src/lib/context/context.ts';
import { say, until, work } from './protocol.ts';

const [, , directory = '', cacheDir = '', wait = ''] = process.argv;

/** Digests a whole context, when it is told to, and says what it was and how many files were read. */
await work(async () => {
  say('ready');
  if (wait === 'wait') await until('go');
  const context = openContext({ directory, cacheDir, signal: new AbortController().signal });
  const { sha256, filesRead } = await (await context.resolve(['.'])).digest();
  say(`digest ${sha256} read ${filesRead}`);
});
