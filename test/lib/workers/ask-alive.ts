import { layoutOf } from '../../../src/lib/layout.ts';
import { isRunAlive } from '../../../src/lib/store/liveness.ts';
import { say, work } from './protocol.ts';

const [, , stateDir = '', runId = ''] = process.argv;

await work(async () => {
  say(isRunAlive(layoutOf(stateDir).liveDir, runId) ? 'alive' : 'dead');
});
