import { listJournal } from '../../../src/lib/journal.ts';
import { layoutOf } from '../../../src/lib/layout.ts';
import { openForReading } from '../../../src/lib/store/open.ts';
import { say, work } from './protocol.ts';

const [, , stateDir = ''] = process.argv;

await work(async () => {
  const layout = layoutOf(stateDir);
  const store = openForReading(layout);
  say('looking');
  for (const { state, alive } of listJournal({ store, layout }, { running: false, limit: 10 })) {
    say(`${state} ${alive}`);
  }
  store?.close();
});
