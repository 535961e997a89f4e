import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { open, say, until, work } from './protocol.ts';

const [, , stateDir = '', rounds = '0'] = process.argv;
/** Long enough for the other to be waiting, and then for it to come in before it is asked for again. */
const HOLD_MS = 20;
const PAUSE_MS = 40;

/** The clock is the machine's, the same for all processes (clock_gettime(2), CLOCK_MONOTONIC). */
function note(event: 'enter' | 'leave'): void {
  appendFileSync(join(stateDir, 'handovers'), `${event} ${process.pid} ${process.hrtime.bigint()}\n`);
}

await work(async () => {
  const workspace = await open(stateDir, { timeoutMs: 60_000 });
  say('ready');
  await until('go');
  for (let round = 0; round < Number(rounds); round += 1) {
    const lock = await workspace.lock();
    note('enter');
    await sleep(HOLD_MS);
    note('leave');
    await lock.release();
    await sleep(PAUSE_MS);
  }
  workspace.close();
});
