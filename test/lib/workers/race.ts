import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { acquireLock } from '../../../src/lib/lock.ts';
import { open, say, until, work } from './protocol.ts';

const [, , stateDir = '', rounds = '0'] = process.argv;

/** Takes the lock once each round, when it is told to. */
await work(async () => {
  const { store, layout, run, close } = await open(stateDir);
  const log = join(stateDir, 'turns');
  say('ready');
  for (let round = 0; round < Number(rounds); round += 1) {
    await until(`go ${round}`);
    const lock = await acquireLock(store, layout, run.row.id, {
      timeoutMs: 120_000,
      signal: new AbortController().signal,
    });
    appendFileSync(log, `enter ${process.pid} ${lock.epoch}\n`);
    await sleep(1);
    store.write(() => lock.assertOurs());
    appendFileSync(log, `leave ${process.pid} ${lock.epoch}\n`);
    lock.release();
    say(`over ${round}`);
  }
  close();
});
