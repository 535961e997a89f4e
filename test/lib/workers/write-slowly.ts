import { writeSync } from 'node:fs';
import { layoutOf } from '../../../src/lib/layout.ts';
import { openForWriting } from '../../../src/lib/store/open.ts';
import { work } from './protocol.ts';

const [, , stateDir = '', milliseconds = '0'] = process.argv;

await work(async () => {
  const store = await openForWriting(layoutOf(stateDir), () => false);
  store.write(() => {
    writeSync(1, 'inside\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(milliseconds));
  });
  store.close();
});
