import { layoutOf } from '../../../src/lib/layout.ts';
import { takeLock } from '../../../src/lib/store/lock-row.ts';
import { openForWriting } from '../../../src/lib/store/open.ts';
import { say, until, work } from './protocol.ts';

const [, , stateDir = '', times = '0'] = process.argv;

await work(async () => {
  const store = await openForWriting(layoutOf(stateDir), () => false);
  say('ready');
  await until('go');
  for (let n = 0; n < Number(times); n += 1) store.write(() => takeLock(store, 'nobody'));
  store.close();
});
