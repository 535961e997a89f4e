import { layoutOf } from '../../../src/lib/layout.ts';
import { beginRun, isRunAlive } from '../../../src/lib/store/liveness.ts';
import { openForWriting } from '../../../src/lib/store/open.ts';
import { say, until, work } from './protocol.ts';

const [, , stateDir = '', times = '0'] = process.argv;

await work(async () => {
  const { liveDir } = layoutOf(stateDir);
  const store = await openForWriting(layoutOf(stateDir), () => false);
  say('ready');
  await until('go');
  let robbed = 0;
  for (let n = 0; n < Number(times); n += 1) {
    const run = beginRun(store, liveDir, 'banger test');
    if (!isRunAlive(liveDir, run.row.id)) robbed += 1;
    run.end();
  }
  say(robbed === 0 ? 'never robbed' : `robbed ${robbed} times`);
  store.close();
});
