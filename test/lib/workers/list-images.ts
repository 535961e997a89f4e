import { layoutOf } from '../../../src/lib/layout.ts';
import { listImages } from '../../../src/lib/store/images.ts';
import { openForReading } from '../../../src/lib/store/open.ts';
import { say, work } from './protocol.ts';

const [, , stateDir = ''] = process.argv;

await work(async () => {
  say('opening');
  const store = openForReading(layoutOf(stateDir));
  say(store === null ? 'no registry' : `${listImages(store).length} images`);
  store?.close();
});
