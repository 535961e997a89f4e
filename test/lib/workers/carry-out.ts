import { once } from 'node:events';
import { BangerError, CancelledError } from '../../../src/lib/errors.ts';
import { layoutOf } from '../../../src/lib/layout.ts';
import { Operation } from '../../../src/lib/operation.ts';
import { carryOut, type Stage } from '../../../src/lib/pipeline.ts';
import type { ProgressMode } from '../../../src/lib/progress.ts';
import { buildPlan } from '../plans.ts';
import { open, say, work } from './protocol.ts';

const [, , stateDir = '', mode = 'plain', what = ''] = process.argv;

const first: Stage = {
  name: 'first',
  run: ({ note, show }) => {
    show('\u001b[2Jhidden');
    note('cloned\t\u001b[31m in full');
  },
};
const second: Stage = {
  name: 'second',
  async run({ signal }) {
    if (what === 'fail') throw new BangerError('step_failed', 'no luck');
    if (what !== 'wait') return;
    say('waiting');
    // Only what is waited for keeps a process alive.
    const alive = setInterval(() => {}, 1000);
    await once(signal, 'abort');
    clearInterval(alive);
    signal.throwIfAborted();
  },
};

await work(async () => {
  const cancelled = new AbortController();
  process.on('SIGINT', () => cancelled.abort(new CancelledError('SIGINT')));
  const workspace = await open(stateDir, { signal: cancelled.signal });
  try {
    const { plan } = buildPlan(layoutOf(stateDir), 'one');
    const { operation } = await Operation.begin(workspace, () => ({ plan }));
    await carryOut(operation, [first, second], { progress: mode as ProgressMode });
    say('carried out');
    await operation.fail(new Error('this is no real build'));
  } finally {
    workspace.close();
  }
});
