import { layoutOf } from '../../../src/lib/layout.ts';
import { insertImage } from '../../../src/lib/store/images.ts';
import { takeLock } from '../../../src/lib/store/lock-row.ts';
import { openForWriting } from '../../../src/lib/store/open.ts';
import { crash, say, until, work } from './protocol.ts';

const [, , stateDir = '', image = ''] = process.argv;

await work(async () => {
  const store = await openForWriting(layoutOf(stateDir), () => false);
  // The log has its header then: the next thing that is synced is a commit.
  store.write(() => takeLock(store, 'nobody'));
  say('ready');
  await until('go');
  void until('die').then(crash);
  store.write(() => insertImage(store, JSON.parse(image)));
  say('inserted');
  await new Promise(() => {});
});
await until('die');
