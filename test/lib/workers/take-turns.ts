import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { acquireLock } from '../../../src/lib/lock.ts';
import { open, say, until, work } from './protocol.ts';

const [, , stateDir = '', rounds = '0'] = process.argv;

await work(async () => {
  const workspace = await open(stateDir);
  const { store, layout, run } = workspace;
  const log = join(stateDir, 'turns');
  say('ready');
  await until('go');
  for (let round = 0; round < Number(rounds); round += 1) {
    const lock = await acquireLock(store, layout, run.row.id, {
      timeoutMs: 60_000,
      signal: new AbortController().signal,
    });
    appendFileSync(log, `enter ${process.pid} ${lock.epoch}\n`);
    if (round % 3 === 0) await sleep(round % 5);
    store.write(() => lock.assertOurs());
    appendFileSync(log, `leave ${process.pid} ${lock.epoch}\n`);
    lock.release();
    // Without a pause the one that released it would nearly always take it again.
    await sleep(Math.random() * 30);
  }
  workspace.close();
});
