import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { layoutOf } from '../../../src/lib/layout.ts';
import { openForReading, openForWriting } from '../../../src/lib/store/open.ts';
import { say, until, work } from './protocol.ts';

const [, , stateDir = '', rounds = '0'] = process.argv;

await work(async () => {
  say('ready');
  await until('go');
  for (let round = 0; round < Number(rounds); round += 1) {
    const layout = layoutOf(join(stateDir, String(round)));
    mkdirSync(layout.stateDir, { recursive: true });
    openForReading(layout)?.close();
    (await openForWriting(layout, () => false)).close();
    openForReading(layout)?.close();
  }
});
